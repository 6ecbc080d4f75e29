// Starts a container as often as it is asked to, one after the other, and says how many ended well. argv[2] is JSON; plain
// JavaScript on the compiled package, as agent.mjs: whoever watches what is allocated waits for every line of it.
const { stateDir, cgroupParent, spec, count } = JSON.parse(process.argv[2] ?? "");
const { openRuntime } = await import("../dist/index.js");
const runtime = await openRuntime({ stateDir, cgroupParent });
let ended = 0;
// Whoever waits for it may lose patience: then nothing is left all the same.
let isWanted = true;
process.once("SIGTERM", () => (isWanted = false));
try {
  for (let i = 0; i < count && isWanted; i += 1) {
    const result = await runtime.start({ ...spec, id: `${spec.id}-${i}` });
    if (!result.ok) throw new Error(JSON.stringify(result.error));
    if ((await result.value.exited).code === 0) ended += 1;
    await result.value.remove();
  }
} finally {
  await runtime.close();
}
process.stdout.write(`${process.env["BERTH_WATCHED"] === "1" ? "watched, " : ""}${ended} of ${count}\n`);
