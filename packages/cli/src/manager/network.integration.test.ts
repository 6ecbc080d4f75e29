// The real kernel: bridge, links and namespaces of several hosts, made, used, and gone without a trace.
import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { inNamespace, makeNetwork, removeNetwork } from "./network.ts";

let dataDir: string;
beforeEach(() => (dataDir = mkdtempSync(join(tmpdir(), "berth-net-"))));
afterEach(async () => {
  await removeNetwork(dataDir);
  rmSync(dataDir, { recursive: true });
});

const inside = (namespace: string, ...words: string[]): string => {
  const [command = "", ...args] = [...inNamespace(namespace), ...words];
  return execFileSync(command, args, { encoding: "utf8" });
};

test("hosts reach the machine and each other, and see the machine's cgroups", async () => {
  const plan = await makeNetwork(dataDir, ["host-1", "host-2"]);
  const [one, two] = plan.hosts;
  if (one === undefined || two === undefined) throw new Error("there must be two hosts");
  const server = createServer((socket) => socket.end(`from ${socket.remoteAddress}`));
  await new Promise<void>((resolve) => server.listen(0, plan.gateway, resolve));
  const { port } = server.address() as { readonly port: number };
  const script = `require("net").connect(${port}, "${plan.gateway}").on("data", (d) => process.stdout.write(d))`;
  const client = promisify(execFile)("nsenter", [
    ...inNamespace(one.namespace).slice(1),
    process.execPath,
    "-e",
    script,
  ]);
  expect((await client).stdout).toBe(`from ${one.address}`);
  server.close();
  expect(inside(two.namespace, "ip", "-4", "-brief", "address", "show", "eth0")).toContain(`${two.address}/24`);
  // `ip netns exec` would have replaced /sys, and the cgroups with it.
  const groups = inside(one.namespace, "grep", "-c", "cgroup", "/proc/self/mounts");
  expect(groups).toBe(execFileSync("grep", ["-c", "cgroup", "/proc/self/mounts"], { encoding: "utf8" }));
});

test("a second data directory gets other names and addresses beside it", async () => {
  const other = mkdtempSync(join(tmpdir(), "berth-net-"));
  try {
    const first = await makeNetwork(dataDir, ["host-1"]);
    const second = await makeNetwork(other, ["host-1"]);
    expect(second.bridge).not.toBe(first.bridge);
    expect(second.gateway).not.toBe(first.gateway);
    await removeNetwork(other);
    expect(inside(first.hosts[0]?.namespace ?? "", "ip", "-4", "-brief", "address", "show", "eth0")).toContain("198.1");
  } finally {
    await removeNetwork(other);
    rmSync(other, { recursive: true });
  }
});

test("removal finds everything by name, also half of it, and leaves nothing", async () => {
  const plan = await makeNetwork(dataDir, ["host-1", "host-2"]);
  execFileSync("ip", ["link", "delete", plan.hosts[0]?.link ?? ""]);
  expect(await removeNetwork(dataDir)).toBe(4);
  expect(await removeNetwork(dataDir)).toBe(0);
  expect(execFileSync("ip", ["link"], { encoding: "utf8" })).not.toContain(plan.tag);
  expect(execFileSync("ip", ["netns"], { encoding: "utf8" })).not.toContain(plan.tag);
});
