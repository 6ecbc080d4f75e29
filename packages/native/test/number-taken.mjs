/**
 * A process that plays an agent which has to kill what is left in a cgroup, in a pid namespace of its own: right after it has
 * looked whose process the number is, that one ends and somebody else gets the number. Says on stdout what became of that
 * somebody: SIGTERM when nobody else sent a signal before. Plain JavaScript on the compiled package, as agent.mjs.
 */
import { spawn } from "node:child_process";
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";

const { hierarchy, parent } = JSON.parse(process.argv[2] ?? "");
const { ContainerCgroup } = await import("../dist/cgroup.js");
/* As v1, where nothing but signals kills. */
const layout = {
  kind: "v1",
  hierarchies: [{ path: hierarchy, version: 1, controllers: [] }],
  onDemand: [],
  missing: [],
};
const cgroup = new ContainerCgroup(layout, parent, "taken");

/* Its parent waits for it and for nothing else. */
const shell = spawn("sh", ["-c", "sleep 1000 >/dev/null & echo $!; wait"]);
const [number] = await new Promise((resolve) => shell.stdout.once("data", (text) => resolve([Number(text)])));
fs.writeFileSync(join(hierarchy, parent, "taken", "cgroup.procs"), String(number));

let stranger;
const takeNumber = () => {
  process.kill(number, "SIGKILL");
  while (fs.existsSync(`/proc/${number}`));
  for (; stranger?.pid !== number;) {
    stranger?.kill("SIGKILL");
    fs.writeFileSync("/proc/sys/kernel/ns_last_pid", String(number - 1));
    stranger = spawn("sleep", ["1000"], { stdio: "ignore" });
  }
};
const read = fs.readFileSync;
fs.readFileSync = (file, ...rest) => {
  const text = read(file, ...rest);
  if (file === `/proc/${number}/cgroup` && stranger === undefined) takeNumber();
  return text;
};
syncBuiltinESMExports();

await cgroup.kill(0);
if (stranger === undefined) throw new Error("nobody has looked");
stranger.kill("SIGTERM");
const signal = await new Promise((resolve) => stranger.once("exit", (_, how) => resolve(how)));
process.stdout.write(String(signal));
