/**
 * A process that plays the agent: opens a runtime, starts what it is told, says so on stdout, and waits to be killed.
 * argv[2] is JSON. Plain JavaScript on the compiled package: what matters here is when it dies, and a compiler in the
 * same process takes longer than all the rest.
 */
import { openRuntime } from "../dist/index.js";

const { stateDir, cgroupParent, specs, execute } = JSON.parse(process.argv[2] ?? "");
const runtime = await openRuntime({ stateDir, cgroupParent });
await Promise.all(
  specs.map(async (spec) => {
    const result = await runtime.start(spec);
    if (result.ok && execute !== undefined)
      await result.value.exec({ command: execute, limits: { cpuLimitMillis: 300, pids: 8 } });
    process.stdout.write(`${JSON.stringify({ id: spec.id, pid: result.ok ? result.value.pid : null })}\n`);
  }),
);
process.stdout.write('{"id":"all"}\n');
setInterval(() => undefined, 1000);
