/** The agent as users run it: a process of its own, which a test may kill at any instant. */
import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { programOf } from "../../../../tools/built.ts";

const program = () => programOf("agent", "main", { schema: "src", native: "lib", agent: "src" });
const root = fileURLToPath(new URL("../../../..", import.meta.url));

export interface AgentProcess {
  readonly pid: number;
  /** Log lines so far. */
  readonly log: readonly string[];
  readonly kill: (signal: NodeJS.Signals) => Promise<number | null>;
  readonly exited: Promise<number | null>;
  readonly closeStdin: () => void;
}

/** Resolves when it says that it is ready. */
export const startAgentProcess = async (args: readonly string[]): Promise<AgentProcess> => {
  const child: ChildProcess = spawn(process.execPath, [...program(), ...args], {
    cwd: root,
    stdio: ["pipe", "pipe", "pipe"],
  });
  const log: string[] = [];
  const exited = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
  if (child.stdout === null || child.stderr === null) throw new Error("no pipes");
  createInterface({ input: child.stderr }).on("line", (line) => log.push(line));
  const ready = new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on("line", (line) => {
      if (line.includes('"ready":true')) resolve();
    });
    void exited.then((code) => reject(new Error(`the agent ended with ${code}:\n${log.join("\n")}`)));
  });
  await ready;
  return {
    pid: child.pid ?? 0,
    log,
    exited,
    kill: (signal) => {
      child.kill(signal);
      return exited;
    },
    closeStdin: () => child.stdin?.end(),
  };
};
