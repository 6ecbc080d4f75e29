/**
 * The spec on its way from TypeScript to C. Both sides describe the layout by hand, so what one writes is read back by
 * the other; and whatever bytes arrive, the decoder answers: `--check-spec` is the supervisor's own decoder.
 */
import { execFile, spawn } from "node:child_process";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { supervisorPath } from "../lib/binding.ts";
import { encodeSpec, type SpecContext } from "../lib/spec.ts";
import type { ContainerSpec } from "../lib/types.ts";
import { testHost } from "./host.ts";

const host = testHost();

const context: SpecContext = {
  cgroupParent: "berth/tests",
  hierarchies: [
    { path: "/sys/fs/cgroup/cpu", version: 1, controllers: ["cpu"] },
    { path: "/sys/fs/cgroup/unified", version: 2, controllers: [] },
    { path: "/all", version: 1, controllers: ["cpu", "memory", "pids", "freezer", "cpuacct"] },
  ],
  log: { maxBytes: 12_345_678, files: 7, bytesPerSecond: 98_765, beyond: "wait" },
  cgroupWrites: [
    { path: "/all", file: "memory.max", value: "12" },
    { path: "/sys/fs/cgroup/cpu", file: "cpu.max", value: "1 2" },
  ],
  attachLayers: true,
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
    { source: "/out", target: "/results", readOnly: false },
  ],
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

const encoded = (value: ContainerSpec = spec): Buffer => {
  const result = encodeSpec({ stdin: "pipe", ...value }, context);
  if (!result.ok) throw new Error(result.error.detail);
  return result.value;
};

describe("what is written is what is read", () => {
  test("field by field", async () => {
    const { code, text } = await check(encoded());
    expect(text.trimEnd().split("\n")).toEqual([
      "id=job_1-x",
      "hostname=box.example",
      "workdir=/work",
      "cgroupParent=berth/tests",
      "flags=1",
      "idBase=3000000",
      "shmBytes=1099511627777",
      "logBytes=12345678",
      "logPerSecond=98765",
      "logFiles=7",
      "stdio=5",
      "terminalSize=0",
      "layer=/top",
      "layer=/bottom",
      "arg=run",
      "arg=",
      "arg=ünï",
      "env=A=1",
      "env=EMPTY=",
      "env=B=x=y",
      "mount=/usr/share:/data:1",
      "mount=/out:/results:0",
      "hierarchy=/sys/fs/cgroup/cpu:1:1",
      "hierarchy=/sys/fs/cgroup/unified:2:0",
      "hierarchy=/all:1:31",
      "cgroupWrite=2:memory.max:12",
      "cgroupWrite=0:cpu.max:1 2",
    ]);
    expect(code).toBe(0);
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

  test("every 32-bit word of the header and the tables, set to what hurts most", async () => {
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
    for (const length of [0, 1, 4, 135, 136, 200, good.length - 1]) {
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
    if (!result.ok) expect(result.error.detail).toMatch(new RegExp(`^${field}:`));
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
