/**
 * A process that plays an agent in bad surroundings: it starts one container, waits for its end, removes it, and says on
 * stdout how it went and what the next agent would find. argv[2] is JSON; plain JavaScript on the compiled package, as
 * agent.mjs. With `limit` it does so for every number of processes that it may have, from those it has on. With `exec` it
 * executes that in the container instead of waiting for its end, and says how that went.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const { stateDir, cgroupParent, cgroupLayout, spec, exec, limit, upTo = 0 } = JSON.parse(process.argv[2] ?? "");
const { openRuntime } = await import("../dist/index.js");
const said = [];
const started = async (runtime) => {
  const result = await runtime.start(spec);
  if (!result.ok) return { error: result.error, exit: result.exit };
  const executed = exec && (await result.value.exec({ command: exec }));
  const exit = executed ? await result.value.stop({ signal: 9, graceMs: 0 }) : await result.value.exited;
  await result.value.remove();
  return executed && !executed.ok ? { error: executed.error, exit: executed.exit } : { exit };
};
// As an agent has something that keeps it alive: waiting for a supervisor that ends without a word does not.
const alive = setInterval(() => undefined, 1000);
try {
  const runtime = await openRuntime({ stateDir, cgroupParent, cgroupLayout });
  for (let more = 0; more <= upTo; more += 1) {
    if (limit !== undefined) {
      const current = Number(readFileSync(join(dirname(limit), "pids.current"), "utf8"));
      writeFileSync(limit, String(current + more));
    }
    said.push({ ...(await started(runtime)), left: (await runtime.adopt()).map(({ id, kind }) => `${id} ${kind}`) });
    if (limit !== undefined) writeFileSync(limit, "max");
  }
  await runtime.close();
} catch (cause) {
  said.push({ error: cause?.error ?? String(cause), left: [] });
}
clearInterval(alive);
process.stdout.write(JSON.stringify(said));
