/** The path of a program that plays an agent, once what it imports was compiled from what is there now. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

let compiled = false;

export const agentScript = (name = "agent.mjs"): string => {
  /* The virtual machine of the v2 tests sees the checkout read-only: who starts it compiles first. */
  if (!compiled && process.env["BERTH_VM"] === undefined)
    execFileSync(here("../../../node_modules/.bin/tsc"), ["-b", here("..")], { stdio: "inherit" });
  compiled = true;
  return here(`./${name}`);
};
