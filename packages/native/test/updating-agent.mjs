/**
 * A process that plays an agent which finds a container, changes its limits, and is killed in the middle of that: before it
 * writes to a file or renames one for the `dieBefore`th time, counted from the update on. argv[2] is JSON.
 */
import { syncBuiltinESMExports } from "node:module";
import promises from "node:fs/promises";

const { stateDir, cgroupParent, id, limits, dieBefore } = JSON.parse(process.argv[2] ?? "");
const { open, rename } = promises;
let left = Number.POSITIVE_INFINITY;
const counted =
  (change, isOne = () => true) =>
  async (...args) => {
    if (isOne(...args) && --left === 0) process.kill(process.pid, "SIGKILL");
    return await change(...args);
  };
promises.open = counted(open, (_path, flags) => flags !== "r");
promises.rename = counted(rename);
syncBuiltinESMExports();

const { openRuntime } = await import("../dist/index.js");
const runtime = await openRuntime({ stateDir, cgroupParent });
const found = (await runtime.adopt()).find((one) => one.id === id);
left = dieBefore;
const result = await found.container.update(limits);
left = Number.POSITIVE_INFINITY;
process.stdout.write(`${JSON.stringify(result)}\n`);
await runtime.close();
