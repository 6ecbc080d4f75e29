/** Containers that share namespaces with another, as the containers of one allocation do. */
import { closeSync, openSync, readlinkSync } from "node:fs";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Container, ContainerSpec, JoinableNamespace } from "../lib/index.ts";
import { outputOf, testHost } from "./host.ts";

const host = testHost();
const BASE = 900_000_000;
/** Of the first container's clock: longer than any host has been up. */
const AHEAD_MS = 50 * 365 * 86_400_000;
let first: Container;
beforeAll(async () => {
  const namespaces = { time: { boottimeOffsetMs: AHEAD_MS } };
  first = await host.start(["sleep", "1000"], { idBase: BASE, hostname: "first", namespaces });
});
afterAll(async () => {
  await first.stop({ signal: 9, graceMs: 0 });
  await first.remove();
});

const nsOf = (kind: JoinableNamespace) => ({ path: `/proc/${first.pid ?? 0}/ns/${kind}` });
const link = (pid: number | null, name: string): string => readlinkSync(`/proc/${pid ?? 0}/ns/${name}`);
const NAMES = ["user", "pid", "mnt", "uts", "ipc", "net", "cgroup", "time"];

const shared = async (more: Partial<ContainerSpec>): Promise<string[]> => {
  const container = await host.start(["sleep", "1000"], more);
  const same = NAMES.filter((name) => link(container.pid, name) === link(first.pid, name));
  const beside = await container.exec({ command: ["sh", "-c", "readlink /proc/self/ns/time; cat /proc/uptime"] });
  if (!beside.ok) throw new Error(JSON.stringify(beside.error));
  const told = (await text(beside.value.stdout)).split("\n");
  expect(told[0]).toBe(link(container.pid, "time"));
  expect(Number.parseFloat(told[1] ?? "") > AHEAD_MS / 1000).toBe(same.includes("time"));
  await container.stop({ signal: 9, graceMs: 0 });
  expect(await container.exited).toMatchObject({ signal: 9 });
  await container.remove();
  return same;
};

describe.each([
  [["net"], {}],
  [["ipc", "uts"], {}],
  [["net", "ipc", "uts"], {}],
  [["user", "net", "ipc", "uts"], { idBase: BASE }],
  [["user"], { idBase: BASE }],
  [["user", "time"], { idBase: BASE }],
  [["user", "cgroup", "time"], { idBase: BASE }],
] as const)("%j", (kinds, more) => {
  const namespaces = (): ContainerSpec["namespaces"] => Object.fromEntries(kinds.map((kind) => [kind, nsOf(kind)]));

  test("are joined, and no other", async () => {
    expect(await shared({ ...more, namespaces: namespaces() ?? {} })).toEqual(
      NAMES.filter((name) => (kinds as readonly string[]).includes(name)),
    );
  });

  test("what is inside works, and fails, as ever", async () => {
    const { stdout, exit } = await host.sh(
      `hostname; ls /sys/class/net; ls -d /dev/mqueue /dev/shm | wc -l; ls /proc/1/exe >/dev/null 2>&1 || echo "init is closed"
       (echo x > /sys/x) 2>/dev/null; umount /proc/kcore 2>/dev/null; head -c 1 /proc/kcore | wc -c; exit 9`,
      { ...more, namespaces: namespaces() ?? {} },
    );
    expect(stdout.split("\n")).toEqual([
      (kinds as readonly string[]).includes("uts") ? "first" : "box",
      "lo",
      "2",
      "init is closed",
      "0",
      "",
    ]);
    expect(exit.code).toBe(9);
    expect(await host.runtime.start(host.spec(["absent"], { ...more, namespaces: namespaces() ?? {} }))).toMatchObject({
      exit: { code: 127 },
    });
  });
});

test("two containers of one network talk over its loopback, and with the user namespace bind a low port", async () => {
  const namespaces = { net: nsOf("net"), user: nsOf("user") };
  const server = await host.start(["nc", "-l", "-p", "80", "-e", "echo", "hello"], { idBase: BASE, namespaces });
  const { stdout } = await host.sh("until nc 127.0.0.1 80; do sleep 0.02; done 2>/dev/null", {
    namespaces: { net: nsOf("net") },
  });
  expect(stdout).toBe("hello\n");
  await server.exited;
  await server.remove();
});

test("by descriptor, which may be closed at once", async () => {
  const fd = openSync(nsOf("net").path, "r");
  const starting = host.runtime.start(host.spec(["readlink", "/proc/self/ns/net"], { namespaces: { net: { fd } } }));
  await Promise.resolve();
  const result = await starting;
  closeSync(fd);
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  await result.value.exited;
  expect(await outputOf(result.value)).toBe(`${link(first.pid, "net")}\n`);
  await result.value.remove();
});

test.each<readonly [string, ContainerSpec["namespaces"], string, string]>([
  ["of another kind", { net: { path: "/proc/self/ns/uts" } }, "namespaces", "EINVAL"],
  ["that is no namespace", { net: { path: "/dev/null" } }, "namespaces", "EINVAL"],
  ["that is a directory", { net: { path: "/proc" } }, "namespaces", "EINVAL"],
  ["that does not exist", { net: { path: "/no/such" } }, "namespaces", "ENOENT"],
  ["by a descriptor that is not open", { net: { fd: 987_654 } }, "namespaces", "EBADF"],
  ["of clocks without its user namespace", { time: { path: "/proc/self/ns/time" } }, "spec", "EINVAL"],
  ["of cgroups without its user namespace", { cgroup: { path: "/proc/self/ns/cgroup" } }, "spec", "EINVAL"],
  ["a user namespace that is the host's", { user: { path: "/proc/self/ns/user" } }, "namespaces", "EINVAL"],
])("one %s is refused, and nothing stays", async (_name, namespaces, stage, code) => {
  const result = await host.runtime.start(host.spec(["true"], { namespaces: namespaces ?? {} }));
  expect(result).toMatchObject({ ok: false, error: { stage, code } });
  expect((await host.runtime.adopt()).map(({ id }) => id)).toEqual([first.id]);
});

test("a user namespace with other ids than the spec says is refused", async () => {
  const result = await host.runtime.start(host.spec(["true"], { namespaces: { user: nsOf("user") } }));
  expect(result).toMatchObject({ ok: false, error: { stage: "userns.map", code: "EINVAL" } });
});

test("clocks and cgroups of somebody else than the joined user namespace's owner are refused", async () => {
  for (const kind of ["time", "cgroup"] as const) {
    const namespaces = { user: nsOf("user"), [kind]: { path: `/proc/self/ns/${kind}` } };
    const result = await host.runtime.start(host.spec(["true"], { idBase: BASE, namespaces }));
    expect(result).toMatchObject({ ok: false, error: { stage: "namespaces", code: "EPERM", detail: `join ${kind}` } });
  }
});

test("what belongs to a joined namespace is not changed", async () => {
  for (const more of [
    { sysctls: { "net.core.somaxconn": "9" }, namespaces: { net: nsOf("net") } },
    { sysctls: { "kernel.msgmax": "9" }, namespaces: { ipc: nsOf("ipc") } },
    { domainname: "x", namespaces: { uts: nsOf("uts") } },
  ])
    expect(await host.runtime.start(host.spec(["true"], more))).toMatchObject({ ok: false, error: { stage: "spec" } });
});
