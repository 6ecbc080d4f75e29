/**
 * A process that plays the agent: opens a runtime, starts what it is told, says so on stdout, and waits to be killed.
 * Run by crash.test.ts through tsx; argv[2] is JSON.
 */
import { openRuntime, type ContainerSpec } from "../lib/index.ts";

const { stateDir, cgroupParent, specs } = JSON.parse(process.argv[2] ?? "") as {
  stateDir: string;
  cgroupParent: string;
  specs: ContainerSpec[];
};
const runtime = await openRuntime({ stateDir, cgroupParent });
await Promise.all(
  specs.map(async (spec) => {
    const result = await runtime.start(spec);
    process.stdout.write(`${JSON.stringify({ id: spec.id, pid: result.ok ? result.value.pid : null })}\n`);
  }),
);
process.stdout.write('{"id":"all"}\n');
setInterval(() => undefined, 1000);
