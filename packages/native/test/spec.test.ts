/**
 * The spec on its way from TypeScript to C. Both sides describe the layout by hand, so what one writes is read back by
 * the other; and whatever bytes arrive, the decoder answers: `--check-spec` is the supervisor's own decoder.
 */
import { execFile, spawn } from "node:child_process";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { supervisorPath } from "../lib/binding.ts";
import { encodeSpec, type SpecContext } from "../lib/spec.ts";
import { encodeCgroups } from "../lib/spec/cgroups.ts";
import type { ContainerSpec } from "../lib/types.ts";
import { testHost } from "./host.ts";

const host = testHost();

const cgroups = encodeCgroups({
  parent: "berth/tests",
  hierarchies: [
    { path: "/sys/fs/cgroup/cpu", version: 1, controllers: ["cpu"] },
    { path: "/sys/fs/cgroup/unified", version: 2, controllers: [] },
    { path: "/all", version: 1, controllers: ["cpu", "memory", "pids", "freezer", "cpuacct"] },
  ],
  writes: [
    { path: "/all", file: "memory.max", value: "12" },
    { path: "/sys/fs/cgroup/cpu", file: "cpu.max", value: "1 2" },
  ],
});
const context: SpecContext = {
  log: { maxBytes: 12_345_678, files: 7, bytesPerSecond: 98_765, beyond: "wait" },
  attachLayers: true,
  policy: {
    devices: [
      { type: "char", major: 10, minor: 229 },
      { type: "block", major: 254, minor: 2 ** 20 - 1 },
    ],
  },
  stateDir: "/state",
  limitsDisk: true,
};
const spec: ContainerSpec = {
  id: "job_1-x",
  layers: ["/top", "/bottom"],
  command: ["run", "", "ünï"],
  env: { A: "1", EMPTY: "", B: "x=y" },
  workdir: "/work",
  hostname: "box.example",
  mounts: [
    { source: "/usr/share", target: "/data", readOnly: true },
    { source: "/out", target: "/results", readOnly: false, recursive: false, noExec: true, propagation: "slave" },
    { kind: "tmpfs", target: "/cache", sizeBytes: 2 ** 20, inodes: 100, mode: 0o1777, readOnly: true, noExec: true },
    { kind: "cgroup", target: "/sys/fs/cgroup" },
    { kind: "shm", target: "/dev/shm", sizeBytes: 4096 },
  ],
  user: "www-data:adm",
  groups: ["7", "audio"],
  rlimits: { nofile: { soft: 100, hard: 200 }, core: { soft: 0, hard: "unlimited" } },
  capabilities: { drop: ["dac_override", "fsetid"], add: ["fsetid"], ambient: ["net_bind_service"] },
  umask: 0o077,
  oomScoreAdj: -500,
  stopSignal: 37,
  init: false,
  readOnlyRoot: true,
  domainname: "nis.example",
  devices: [
    { path: "/dev/fuse", type: "char", major: 10, minor: 229 },
    {
      path: "/dev/disk/a",
      type: "block",
      major: 254,
      minor: 2 ** 20 - 1,
      mode: 0o600,
      uid: 5,
      gid: 6,
      access: "rm",
    },
  ],
  namespaces: {
    ipc: { fd: 4 },
    net: { path: "/run/netns/x" },
    time: { monotonicOffsetMs: -1500, boottimeOffsetMs: 86_400_000 },
  },
  idBase: 3_000_000,
  limits: { cpuRequestMillis: 250, cpuLimitMillis: 1500, memoryBytes: 2 ** 40 + 1, pids: 99 },
};

interface Checked {
  readonly code: number | null;
  readonly signal: string | null;
  readonly text: string;
}

const check = (bytes: Uint8Array): Promise<Checked> =>
  new Promise((resolve, reject) => {
    const child = spawn(supervisorPath, ["--check-spec"], { stdio: ["pipe", "pipe", "inherit"] });
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString("utf8")));
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, text }));
    /* It may refuse before it has read everything. */
    child.stdin.on("error", () => undefined);
    child.stdin.end(bytes);
  });

const encoded = (value: ContainerSpec = spec, more: Partial<SpecContext> = {}): Buffer => {
  const result = encodeSpec({ stdin: "pipe", ...value }, { ...context, ...more }, cgroups);
  if (!result.ok) throw new Error(result.error.detail);
  return Buffer.from(result.value);
};

describe("what is written is what is read", () => {
  test("field by field", async () => {
    const { code, text } = await check(encoded());
    expect(text.trimEnd().split("\n")).toEqual([
      "id=job_1-x",
      "hostname=box.example",
      "workdir=/work",
      "cgroupParent=berth/tests",
      "flags=7",
      "idBase=3000000",
      "shmBytes=1099511627777",
      "logBytes=12345678",
      "logPerSecond=98765",
      "logFiles=7",
      "stdio=5",
      "terminalSize=0",
      "stopSignal=37",
      "layer=/top",
      "layer=/bottom",
      "arg=run",
      "arg=",
      "arg=ünï",
      "env=A=1",
      "env=EMPTY=",
      "env=B=x=y",
      "mount=1:/usr/share:/data:1:0:0:755",
      "mount=1:/out:/results:14:0:0:755",
      "mount=2::/cache:3:1048576:100:1777",
      "mount=8::/sys/fs/cgroup:0:0:0:755",
      "mount=7::/dev/shm:0:4096:0:1777",
      "hierarchy=/sys/fs/cgroup/cpu:1:1",
      "hierarchy=/sys/fs/cgroup/unified:2:0",
      "hierarchy=/all:1:31",
      "cgroupWrite=2:memory.max:12",
      "cgroupWrite=0:cpu.max:1 2",
      "user=www-data:adm",
      "group=7",
      "group=audio",
      "rlimit=7:100:200",
      "rlimit=4:0:18446744073709551615",
      "capabilities=800405f9:400:400",
      "process=1:77:-500",
      "device=/dev/fuse:c:10:229:660:0:0:6",
      "device=/dev/disk/a:b:254:1048575:600:5:6:3",
      "join=40000000:0",
      "join=8000000:1",
      "namespaces=nis.example:1:-1500:86400000",
    ]);
    expect(code).toBe(0);
  });

  test("with the hierarchy of v1 that controls devices, of which nothing is left for the next", async () => {
    const linesOf = async (bytes: Buffer) =>
      (await check(bytes)).text.split("\n").filter((line) => /^(hierarchy|cgroupWrite)=/.test(line));
    const usual = await linesOf(encoded());
    const devices = { path: "/v1/devices", version: 1, controllers: ["devices"] } as const;
    expect(await linesOf(encoded(spec, { devices }))).toEqual([
      ...usual.slice(0, 3),
      "hierarchy=/v1/devices:1:256",
      ...usual.slice(3),
      "cgroupWrite=3:devices.deny:a",
      ...["1:3", "1:5", "1:7", "1:8", "1:9", "5:0", "5:1", "5:2", "136:*"].map(
        (numbers) => `cgroupWrite=3:devices.allow:c ${numbers} rwm`,
      ),
      "cgroupWrite=3:devices.allow:c 10:229 rw",
      "cgroupWrite=3:devices.allow:b 254:1048575 rm",
    ]);
    const { devices: _, ...without } = spec;
    expect(await linesOf(encoded(without, { devices }))).toEqual(usual);
  });

  test("for any texts", async () => {
    const text = fc.string({ unit: "grapheme", maxLength: 40 }).filter((value) => !/[\0\n]/.test(value));
    await fc.assert(
      fc.asyncProperty(
        fc.array(text, { maxLength: 20 }),
        fc.dictionary(fc.stringMatching(/^[A-Z]{1,8}$/), text),
        async (args, env) => {
          const { code, text: read } = await check(encoded({ ...spec, command: ["x", ...args], env }));
          expect(code).toBe(0);
          expect(read.split("\n").filter((line) => line.startsWith("arg="))).toEqual(
            ["x", ...args].map((word) => `arg=${word}`),
          );
          expect(read.split("\n").filter((line) => line.startsWith("env="))).toEqual(
            Object.entries(env).map(([name, value]) => `env=${name}=${value}`),
          );
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe("bytes that are no spec", () => {
  const refused = ({ code, signal, text }: Checked) => {
    expect(signal, text).toBeNull();
    expect([0, 65]).toContain(code);
    if (code === 65) expect(text).toMatch(/^refused spec \d+ .+\n$/s);
  };

  test("random bytes are refused", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), async (bytes) => {
        const result = await check(bytes);
        refused(result);
        expect(result.code).toBe(65);
      }),
      { numRuns: 60 },
    );
  });

  test("any damage to a good spec is survived", async () => {
    const good = encoded();
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ at: fc.nat(good.length - 1), value: fc.integer({ min: 0, max: 255 }) }), {
          minLength: 1,
          maxLength: 8,
        }),
        async (edits) => {
          const bytes = Buffer.from(good);
          for (const { at, value } of edits) bytes[at] = value;
          refused(await check(bytes));
        },
      ),
      { numRuns: 150 },
    );
  });

  /* A process for each. */
  test("every 32-bit word of the header and the tables, set to what hurts most", { timeout: 240_000 }, async () => {
    const good = encoded();
    for (const value of [0, 0xffff_ffff, 0x7fff_fffd, good.length + 2, good.length - 1]) {
      await Promise.all(
        Array.from({ length: Math.floor(good.length / 4) }, async (_, word) => {
          if (word % 4 !== value % 4) return;
          const bytes = Buffer.from(good);
          bytes.writeUInt32LE(value >>> 0, word * 4);
          refused(await check(bytes));
        }),
      );
    }
  });

  test("every length that is too short is refused", async () => {
    const good = encoded();
    for (const length of [0, 1, 4, 183, 184, 200, good.length - 1]) {
      expect(await check(good.subarray(0, length))).toMatchObject({ code: 65 });
    }
    expect(await check(Buffer.concat([good, Buffer.alloc(1)]))).toMatchObject({ code: 65 });
    expect(await check(Buffer.alloc(5 * 1024 * 1024))).toMatchObject({ code: 65 });
  });
});

describe("nonsense in a field is refused by its name, and nothing is left behind", () => {
  const nonsense: readonly (readonly [string, Partial<ContainerSpec> | Partial<ContainerSpec["limits"]>])[] = [
    ["id", { id: "" }],
    ["id", { id: "../x" }],
    ["id", { id: "UPPER" }],
    ["id", { id: "x".repeat(65) }],
    ["layers", { layers: [] }],
    ["layers", { layers: ["relative"] }],
    ["layers", { layers: ["/a/../../b"] }],
    ["layers", { layers: Array.from({ length: 65 }, () => "/x") }],
    ["command", { command: [] }],
    ["command", { command: [""] }],
    ["command", { command: ["x", "a\0b"] }],
    ["command", { command: ["x", "y".repeat(131_072)] }],
    ["command", { command: Array.from({ length: 4097 }, () => "x") }],
    ["env", { env: { "": "x" } }],
    ["env", { env: { "A=B": "x" } }],
    ["env", { env: { A: "x\0y" } }],
    ["workdir", { workdir: "relative" }],
    ["workdir", { workdir: "" }],
    ["hostname", { hostname: "" }],
    ["hostname", { hostname: "a/b" }],
    ["hostname", { hostname: "h".repeat(65) }],
    ["mounts", { mounts: [{ source: "x", target: "/y", readOnly: true }] }],
    ["mounts", { mounts: [{ source: "/x", target: "y", readOnly: true }] }],
    ["mounts", { mounts: [{ source: "/x", target: "/y/../../etc", readOnly: true }] }],
    ["mounts", { mounts: [{ source: "/x", target: "/y" }] as never }],
    ["mounts", { mounts: [{ source: "/x", target: "/y", readOnly: "no" }] as never }],
    ["mounts", { mounts: [{ source: "/x", target: "/y", readOnly: true, propagation: "shared" }] as never }],
    ["mounts", { mounts: [{ source: "/x", target: "/y", readOnly: true, sizeBytes: 4096 }] as never }],
    ["mounts", { mounts: [{ kind: "tmpfs", target: "/y", source: "/x" }] as never }],
    ["mounts", { mounts: [{ kind: "tmpfs", target: "/y", sizeBytes: 0 }] }],
    ["mounts", { mounts: [{ kind: "tmpfs", target: "/y", sizeBytes: 1e30 }] }],
    ["mounts", { mounts: [{ kind: "tmpfs", target: "/y", mode: 0o4755 }] }],
    ["mounts", { mounts: [{ kind: "tmpfs", target: "/proc/sys" }] }],
    ["mounts", { mounts: [{ kind: "shm", target: "/dev/shm/x" }] }],
    ["mounts", { mounts: [{ kind: "cgroup", target: "/mnt" }] }],
    ["mounts", { mounts: [{ kind: "ext4", target: "/mnt" }] as never }],
    ["mounts", { mounts: "none" as never }],
    ["user", { user: "" }],
    ["user", { user: "1000:" }],
    ["user", { user: ":1000" }],
    ["user", { user: "+0" }],
    ["user", { user: "-1" }],
    ["user", { user: " 0" }],
    ["user", { user: "0x0" }],
    ["user", { user: "007" }],
    ["user", { user: "4294967295" }],
    ["user", { user: "4294967296" }],
    ["user", { user: "1:2:3" }],
    ["user", { user: "a b" }],
    ["user", { user: "root\n" }],
    ["user", { user: 0 as never }],
    ["groups", { groups: ["-1"] }],
    ["groups", { groups: Array.from({ length: 65 }, () => "1") }],
    ["umask", { umask: 0o1000 }],
    ["umask", { umask: "022" as never }],
    ["rlimits", { rlimits: { files: { soft: 1, hard: 1 } } as never }],
    ["rlimits", { rlimits: { nofile: { soft: 2, hard: 1 } } }],
    ["rlimits", { rlimits: { nofile: { soft: -1, hard: 1 } } }],
    ["rlimits", { rlimits: { nofile: 100 as never } }],
    ["oomScoreAdj", { oomScoreAdj: 1001 }],
    ["capabilities", { capabilities: { add: ["sys_module"] as never } }],
    ["capabilities", { capabilities: { add: ["CAP_CHOWN"] as never } }],
    ["capabilities", { capabilities: { add: ["sys_admin"] } }],
    ["capabilities", { capabilities: { drop: ["all"], ambient: ["chown"] } }],
    ["capabilities", { capabilities: { keep: ["chown"] } as never }],
    ["stopSignal", { stopSignal: 0 }],
    ["stopSignal", { stopSignal: 65 }],
    ["stopSignal", { stopSignal: "SIGTERM" as never }],
    ["init", { init: "yes" as never }],
    ["readOnlyRoot", { readOnlyRoot: 1 as never }],
    ["domainname", { domainname: "a b" }],
    ["devices", { devices: [{ path: "/dev/null", type: "char", major: 1, minor: 1 }] }],
    ["devices", { devices: [{ path: "/dev/pts/0", type: "char", major: 1, minor: 1 }] }],
    ["devices", { devices: [{ path: "/dev/../x", type: "char", major: 1, minor: 1 }] }],
    ["devices", { devices: [{ path: "/tmp/x", type: "char", major: 1, minor: 1 }] }],
    ["devices", { devices: [{ path: "/dev/x", type: "pipe" as never, major: 1, minor: 1 }] }],
    ["devices", { devices: [{ path: "/dev/x", type: "char", major: 4096, minor: 1 }] }],
    ["devices", { devices: [{ path: "/dev/x", type: "char", major: 1, minor: 1, access: "rr" }] }],
    ["namespaces", { namespaces: { pid: { fd: 1 } } as never }],
    ["namespaces", { namespaces: { net: {} } as never }],
    ["namespaces", { namespaces: { net: { fd: -1 } } }],
    ["namespaces", { namespaces: { net: { path: "relative" } } }],
    ["namespaces", { namespaces: { time: { monotonicOffsetMs: 1e20 } } }],
    ["spec", { comand: ["true"] } as never],
    ["mounts", { mounts: Array.from({ length: 129 }, () => ({ source: "/x", target: "/y", readOnly: true })) }],
    ["idBase", { idBase: 0 }],
    ["idBase", { idBase: 65_535 }],
    ["idBase", { idBase: 4_294_967_295 }],
    ["idBase", { idBase: 100_000.5 }],
    ["log.maxBytes", { log: { maxBytes: -1 } }],
    ["log.maxBytes", { log: { maxBytes: 131_071 } }],
    ["log.files", { log: { files: 1 } }],
    ["log.files", { log: { files: 65 } }],
    ["log.bytesPerSecond", { log: { bytesPerSecond: 4095 } }],
    ["log.bytesPerSecond", { log: { bytesPerSecond: Number.POSITIVE_INFINITY } }],
    ["terminal", { terminal: { rows: 0, columns: 80 } }],
    ["terminal", { terminal: { rows: 24, columns: 65_536 } }],
    ["stdin", { terminal: { rows: 24, columns: 80 }, stdin: "pipe" }],
    ["memoryBytes", { memoryBytes: 0 }],
    ["memoryBytes", { memoryBytes: Number.NaN }],
    ["memoryBytes", { memoryBytes: 2 ** 60 }],
    ["pids", { pids: 0 }],
    ["pids", { pids: -5 }],
    ["cpuLimitMillis", { cpuLimitMillis: 0 }],
    ["cpuRequestMillis", { cpuRequestMillis: Number.POSITIVE_INFINITY }],
  ];

  test.each(nonsense)("%s %j", async (field, more) => {
    const base = host.spec(["true"]);
    const limit = Object.keys(more).some((key) => key in base.limits);
    const value = limit ? { ...base, limits: { ...base.limits, ...more } } : { ...base, ...more };
    const result = await host.runtime.start(value as ContainerSpec);
    expect(result).toMatchObject({
      ok: false,
      error: { stage: "spec", code: "EINVAL" },
      exit: { code: 125, cause: "start_failed" },
    });
    if (!result.ok) expect(result.error.detail).toMatch(new RegExp(`^${field}[:.[]`));
    expect(await host.runtime.adopt()).toEqual([]);
  });

  test("more bytes than a spec may have", async () => {
    const big = "x".repeat(131_000);
    const result = await host.runtime.start(host.spec(["echo", ...Array.from({ length: 40 }, () => big)]));
    expect(result).toMatchObject({ ok: false, error: { stage: "spec", code: "E2BIG" } });
  });

  test("more arguments than the kernel takes: 126, since there is such a program", async () => {
    const big = "x".repeat(131_000);
    const result = await host.runtime.start(host.spec(["echo", ...Array.from({ length: 25 }, () => big)]));
    expect(result).toMatchObject({ ok: false, error: { stage: "exec", code: "E2BIG" }, exit: { code: 126 } });
  });
});

test("the supervisor without its descriptors ends at once", async () => {
  const code = await new Promise((resolve) => {
    execFile(supervisorPath, [], (error) => resolve(error === null ? 0 : error.code));
  });
  expect(code).toBe(125);
});
