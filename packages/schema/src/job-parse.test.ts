import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MAX_COUNTED } from "./counted.ts";
import { decoder } from "./decode.ts";
import { parseJobDocument } from "./job-parse.ts";
import { JobDocumentSchema, JobSpecSchema } from "./job.ts";
import type { FieldError } from "./problem.ts";
import { arbitrary } from "./testing/arbitraries.ts";

const batch = { name: "thumbs", kind: "batch", image: "builtin://busybox", command: ["sh", "-c", "true"] };
const service = { ...batch, kind: "service" };

const errorsOf = (document: unknown): readonly FieldError[] => {
  const parsed = parseJobDocument(document);
  if (parsed.ok) return [];
  expect(parsed.error).toMatchObject({ code: "job.spec_invalid", status: 422 });
  return parsed.error.errors ?? [];
};
const specOf = (document: unknown) => {
  const parsed = parseJobDocument(document);
  if (!parsed.ok) throw new Error(parsed.error.detail);
  return parsed.value;
};

test("volumes of the project stay volumes, those in memory become mounts of the container", () => {
  const parsed = parseJobDocument({
    ...{ name: "db", kind: "service", image: "builtin://busybox", command: ["true"] },
    volumes: [
      { volume: "data-${INDEX}", target: "/data", size: "10Gi" },
      { volume: "all", target: "/all", shared: true },
      { tmpfs: true, target: "/scratch", size: "64Mi" },
    ],
  });
  expect(parsed).toMatchObject({
    ok: true,
    value: {
      volumes: [
        { volume: "data-${INDEX}", target: "/data", readOnly: false, shared: false, sizeBytes: 10 * 2 ** 30 },
        { volume: "all", target: "/all", readOnly: false, shared: true, sizeBytes: 0 },
      ],
      container: { mounts: [{ kind: "tmpfs", target: "/scratch", sizeBytes: 64 * 2 ** 20 }] },
    },
  });
});

describe("what happens when its host is cut off", () => {
  const disconnectOf = (disconnect: object) => specOf({ ...service, disconnect }).disconnect;
  test("is nothing special unless something is said", () => {
    expect(specOf({ ...service, disconnect: { action: "replace", singleton: false } })).toEqual(specOf(service));
  });

  test("is said by patience, action, and whether it may ever run twice", () => {
    expect(disconnectOf({ after: "90s" })).toEqual({ afterMs: 90_000, action: "replace", singleton: false });
    expect(disconnectOf({ action: "keep" })).toEqual({ afterMs: null, action: "keep", singleton: false });
    expect(disconnectOf({ singleton: true, after: "30s" })).toEqual({
      afterMs: 30_000,
      action: "replace",
      singleton: true,
    });
  });

  test.each<[object, string, RegExp]>([
    [{ action: "keep", after: "1m" }, "/disconnect/after", /however long/],
    [{ action: "keep", singleton: true }, "/disconnect/singleton", /anyway/],
    [{ singleton: true, after: "20s" }, "/disconnect/after", /after 21\.\d+s at the earliest.*timeouts\.stop/],
    [{ after: "soon" }, "/disconnect/after", /./],
  ])("%j is refused", (disconnect, pointer, message) => {
    const errors = errorsOf({ ...service, disconnect });
    expect(errors).toEqual([{ pointer, message: expect.stringMatching(message) as string }]);
  });
});

describe("a good document", () => {
  test("gets every default", () => {
    expect(specOf(batch)).toEqual({
      name: "thumbs",
      project: "default",
      kind: "batch",
      image: "builtin://busybox",
      command: ["sh", "-c", "true"],
      env: {},
      workdir: "/",
      requests: { cpuMillis: 100, memoryBytes: 134_217_728, pids: 256 },
      limits: { cpuMillis: null, memoryBytes: 134_217_728, pids: 256 },
      count: 1,
      maxRunning: null,
      volumes: [],
      outputs: [],
      restart: {
        on: "never",
        max: null,
        backoffFirstMs: 1000,
        backoffLongestMs: 60_000,
        retryCodes: [],
        fatalCodes: [],
      },
      runTimeoutMs: null,
      stopTimeoutMs: 10_000,
    });
  });

  test("keeps what it says, in whole units", () => {
    const spec = specOf({
      ...batch,
      project: "media",
      env: { LEVEL: "info", TIMES: 3, FAST: true },
      workdir: "/work",
      resources: { cpu: { request: 0.5, limit: "2" }, memory: { request: "256Mi", limit: "512Mi" }, pids: 64 },
      array: { size: 500, maxRunning: 40 },
      volumes: [{ source: "/srv/in", target: "/in", readOnly: true }],
      outputs: [{ path: "/out" }],
      restart: { on: "failure", max: 3, backoff: "2s..1m", exitCodes: { retry: [75], fatal: [64] } },
      timeouts: { run: "1m30s", stop: "250ms" },
    });
    expect(spec).toMatchObject({
      project: "media",
      env: { LEVEL: "info", TIMES: "3", FAST: "true" },
      requests: { cpuMillis: 500, memoryBytes: 268_435_456, pids: 64 },
      limits: { cpuMillis: 2000, memoryBytes: 536_870_912, pids: 64 },
      count: 500,
      maxRunning: 40,
      volumes: [{ source: "/srv/in", target: "/in", readOnly: true }],
      outputs: [{ path: "/out" }],
      restart: {
        on: "failure",
        max: 3,
        backoffFirstMs: 2000,
        backoffLongestMs: 60_000,
        retryCodes: [75],
        fatalCodes: [64],
      },
      runTimeoutMs: 90_000,
      stopTimeoutMs: 250,
    });
  });

  test("that only limits memory books no more than the limit", () => {
    const spec = specOf({ ...batch, resources: { memory: { limit: "32Mi" } } });
    expect([spec.requests.memoryBytes, spec.limits.memoryBytes]).toEqual([33_554_432, 33_554_432]);
  });

  test("of a service restarts always and counts replicas", () => {
    expect(specOf({ ...service, replicas: 3 })).toMatchObject({
      count: 3,
      maxRunning: null,
      restart: { on: "always" },
    });
  });

  test("with a number of restarts means restarts after failures", () => {
    expect(specOf({ ...batch, restart: { max: 2 } }).restart).toMatchObject({ on: "failure", max: 2 });
  });
});

describe("a bad document", () => {
  test.each<[string, unknown, readonly FieldError[]]>([
    ["nothing", null, [{ pointer: "", message: "must be an object" }]],
    ["empty", {}, [{ pointer: "", message: '"name", "kind" and "image" are missing' }]],
    [
      "unknown key",
      { ...batch, resurces: {} },
      [{ pointer: "/resurces", message: 'unknown key "resurces"; did you mean "resources"?' }],
    ],
    [
      "unknown key far from all",
      { ...batch, array: { size: 1, zzzzzz: 1 } },
      [{ pointer: "/array/zzzzzz", message: 'unknown key "zzzzzz"; known keys: size, maxRunning' }],
    ],
    [
      "unknown key in a list",
      { ...batch, volumes: [{ source: "/a", target: "/b", readonly: true }] },
      [{ pointer: "/volumes/0/readonly", message: 'unknown key "readonly"; did you mean "readOnly"?' }],
    ],
    [
      "wrong kind",
      { ...batch, kind: "servce" },
      [{ pointer: "/kind", message: "must be one of service, batch, daemon" }],
    ],
    [
      "wrong types",
      { ...batch, command: ["x", 3], array: { size: "3" }, resources: { cpu: { request: [] } } },
      [
        { pointer: "/command/1", message: "must be text" },
        { pointer: "/array/size", message: "must be a whole number" },
        { pointer: "/resources/cpu/request", message: "must be text or a number" },
      ],
    ],
    [
      "name with a dot",
      { ...batch, name: "a.b" },
      [
        {
          pointer: "/name",
          message:
            "does not fit: Job: 1 to 63 lower-case letters, digits and dashes, starting and ending with a letter or digit",
        },
      ],
    ],
    [
      "quantities",
      { ...batch, resources: { cpu: { request: "half" } }, timeouts: { run: "30" } },
      [
        { pointer: "/resources/cpu/request", message: '"half" is not a number of CPUs; write it like 0.5, 2 or 250m' },
        { pointer: "/timeouts/run", message: '"30" is not a duration; write it like 30s, 1m30s, 2h or 250ms' },
      ],
    ],
    [
      "too small",
      { ...batch, resources: { cpu: { request: "1m" }, memory: { limit: "1Mi" } } },
      [
        { pointer: "/resources/cpu/request", message: "must be between 10m and 1000000 CPUs" },
        { pointer: "/resources/memory/limit", message: "must be between 4Mi and 1024Ti" },
      ],
    ],
    [
      "limit below request",
      { ...batch, resources: { cpu: { request: 2, limit: 1 }, memory: { request: "2Gi", limit: "1Gi" } } },
      [
        { pointer: "/resources/cpu/limit", message: "must not be below the request, nor above 1000000 CPUs" },
        { pointer: "/resources/memory/limit", message: "must not be below the request, nor above 1024Ti" },
      ],
    ],
    [
      "batch with replicas",
      { ...batch, replicas: 2 },
      [{ pointer: "/replicas", message: 'a batch job has "array: { size }"; "replicas" is for kind: service' }],
    ],
    [
      "service with array, outputs and no restart",
      { ...service, array: { size: 2 }, outputs: [{ path: "/out" }], restart: { on: "never" } },
      [
        { pointer: "/restart/on", message: "a service is restarted; use kind: batch for work that ends" },
        { pointer: "/outputs", message: "outputs are collected when a task succeeds; a service never ends" },
        { pointer: "/array", message: 'a service has "replicas"; "array" is for kind: batch' },
      ],
    ],
    [
      "mounts",
      {
        ...batch,
        volumes: [
          { source: "/a/../b", target: "/x" },
          { source: "/a", target: "/proc/1" },
          { source: "/a", target: "/" },
        ],
        outputs: [{ path: "/x" }],
      },
      [
        { pointer: "/volumes/0/source", message: 'must be an absolute path without ".", ".." or "//"' },
        { pointer: "/volumes/1/target", message: "lies under /proc, /sys, /dev, which the runtime mounts itself" },
        { pointer: "/volumes/2/target", message: 'must be an absolute path other than "/", without ".", ".." or "//"' },
        { pointer: "/outputs/0/path", message: '"/x" is used twice' },
      ],
    ],
    [
      "volumes",
      {
        ...batch,
        array: { size: 3 },
        volumes: [
          { volume: "data", target: "/a" },
          { volume: "Data", target: "/b", readOnly: true },
          { volume: "data-${INDEX}", source: "/srv", target: "/c" },
          { target: "/d" },
          { source: "/srv", target: "/e", size: "1Gi", shared: true },
          { tmpfs: true, target: "/f", readOnly: true, size: "1" },
          { volume: "x-${INDEX}", target: "/g" },
          { volume: "x-${INDEX}", target: "/h" },
          { volume: "x-2", target: "/i", readOnly: true },
          { volume: "x-3", target: "/j", readOnly: true },
        ],
      },
      [
        {
          pointer: "/volumes/0",
          message:
            "3 tasks would write one volume: name it data-${INDEX} for one each, or say readOnly: true or shared: true",
        },
        {
          pointer: "/volumes/1/volume",
          message:
            '"Data" cannot name a volume: 1 to 63 lower-case letters, digits and dashes; ${INDEX} is the index of the task',
        },
        {
          pointer: "/volumes/2",
          message: "must have one of volume (data of the project), source (a path of the host) and tmpfs (in memory)",
        },
        {
          pointer: "/volumes/3",
          message: "must have one of volume (data of the project), source (a path of the host) and tmpfs (in memory)",
        },
        { pointer: "/volumes/4/shared", message: "is said of volume only" },
        { pointer: "/volumes/4/size", message: "is said of volume and tmpfs only" },
        { pointer: "/volumes/5/readOnly", message: "is said of volume and source only" },
        { pointer: "/volumes/5/size", message: "must be between 4Ki and 1024Ti" },
        { pointer: "/volumes/7/volume", message: '"x-${INDEX}" is mounted twice, see /volumes/6' },
        { pointer: "/volumes/8/volume", message: '"x-2" and "x-${INDEX}" are one volume for task 2, see /volumes/6' },
      ],
    ],
    [
      "backoff",
      { ...batch, restart: { backoff: "1m..1s" } },
      [{ pointer: "/restart/backoff", message: "the longest wait is shorter than the first" }],
    ],
    [
      "exit code in two lists",
      { ...batch, restart: { exitCodes: { retry: [1, 75], fatal: [75] } } },
      [{ pointer: "/restart/exitCodes", message: "75 is listed as retry and as fatal" }],
    ],
    [
      "NUL characters",
      { ...batch, command: ["a", "b\0"], env: { A: "\0" } },
      [
        { pointer: "/command/1", message: "must not contain a NUL character" },
        { pointer: "/env/A", message: "must not contain a NUL character" },
      ],
    ],
    [
      "names that are no variables",
      { ...batch, env: JSON.parse('{"a b":1,"__proto__":2}') as unknown },
      [{ pointer: "/env/a b", message: 'not a possible key: "a b"' }],
    ],
    [
      "an environment that would change its own prototype",
      { ...batch, env: JSON.parse('{"__proto__":"x"}') as unknown },
      [{ pointer: "/env/__proto__", message: "is not a possible name" }],
    ],
    [
      "image",
      { ...batch, image: "registry/x" },
      [
        {
          pointer: "/image",
          message:
            '"registry/x" is not known here; use oci://REGISTRY/REPOSITORY:TAG, distro://debian/12 or builtin://busybox',
        },
      ],
    ],
    [
      "a reference to an image",
      { ...batch, image: "oci://registry/x:y:z" },
      [{ pointer: "/image", message: '"y:z" is no tag: at most 128 of A-Z a-z 0-9 . _ -' }],
    ],
    [
      "no program at all",
      { ...batch, command: undefined },
      [{ pointer: "/command", message: "builtin://busybox names no program: say what to run" }],
    ],
    [
      "user",
      { ...batch, user: "1000:" },
      [
        {
          pointer: "/user",
          message: "does not fit: user, or user:group, by name or number, of the image; default: that of the image",
        },
      ],
    ],
    [
      "too long",
      { ...batch, timeouts: { run: "400d" } },
      [{ pointer: "/timeouts/run", message: "must not be longer than 366d" }],
    ],
  ])("%s", (_what, document, errors) => expect(errorsOf(document)).toEqual(errors));

  test("is summed up in one sentence", () => {
    expect(parseJobDocument({ ...batch, replicas: 2, workdir: "x" })).toMatchObject({
      ok: false,
      error: { detail: expect.stringMatching(/^\/workdir: /) as unknown },
    });
    expect(parseJobDocument({ ...batch, replicas: 2, workdir: "/.." })).toMatchObject({
      ok: false,
      error: { detail: expect.stringMatching(/^\/workdir: .* \(and 1 more\)$/) as unknown },
    });
  });
});

describe("any document", () => {
  const isSpec = decoder(JobSpecSchema);

  test("ends as a spec that fits its schema, or as a problem; never as an exception", () => {
    fc.assert(
      fc.property(fc.oneof(arbitrary(JobDocumentSchema), fc.jsonValue(), fc.anything()), (document) => {
        const parsed = parseJobDocument(document);
        if (parsed.ok) expect(isSpec(parsed.value)).toMatchObject({ ok: true });
        else expect(parsed.error.errors).not.toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  test("a rule that cannot be read is named with its place and column", () => {
    const parsed = parseJobDocument({
      ...batch,
      placement: {
        require: ["host.arch == 'x64'", "host.arhc == 'x64'"],
        spread: [{ by: "rack" }],
        apart: [{ group: "db", by: "host.labels.rack" }],
      },
    });
    expect(
      parsed.ok ? [] : parsed.error.errors?.map(({ pointer, message }) => `${pointer} ${message.slice(0, 30)}`),
    ).toEqual([
      '/placement/require/1 column 1: "host.arhc" is not k',
      '/placement/spread/0/by "rack" is no place; use host o',
    ]);
  });

  test("gives the same spec again, in the same order of keys", () => {
    const good = fc.record(
      {
        name: fc.stringMatching(/^[a-z]{1,8}$/),
        kind: fc.constant("batch"),
        image: fc.constant("builtin://busybox"),
        command: fc.array(fc.stringMatching(/^[ -~]{1,8}$/), { minLength: 1, maxLength: 3 }),
        env: fc.dictionary(
          fc.stringMatching(/^[A-Z]{1,3}$/),
          fc.string().map((text) => text.replaceAll("\0", "")),
        ),
        array: fc.record({ size: fc.integer({ min: 1, max: 100_000 }) }),
        resources: fc.record({
          cpu: fc.record({ request: fc.integer({ min: 1, max: 64 }) }),
          more: fc.dictionary(fc.stringMatching(/^[a-z]{1,3}$/), fc.nat(9), { maxKeys: MAX_COUNTED }),
        }),
        placement: fc.record(
          {
            require: fc.constant(["host.arch == 'x64'"]),
            groups: fc.constant(["db"]),
            maxPerHost: fc.integer({ min: 1, max: 3 }),
          },
          { requiredKeys: [], noNullPrototype: true },
        ),
      },
      { requiredKeys: ["name", "kind", "image", "command"], noNullPrototype: true },
    );
    fc.assert(
      fc.property(good, (document) => {
        const reversed = Object.fromEntries(Object.entries(document).toReversed());
        expect(JSON.stringify(specOf(reversed))).toBe(JSON.stringify(specOf(document)));
      }),
    );
  });
});

describe("priority, disruption and gangs", () => {
  test("are left out where they say what holds anyway", () => {
    expect(specOf({ ...batch, priority: "production", gang: false })).toEqual(specOf(batch));
    expect(
      specOf({ ...batch, priority: "batch", disruption: { maxUnavailable: 1 }, array: { size: 4 }, gang: true }),
    ).toMatchObject({
      priority: { band: "batch", level: 50 },
      disruption: { maxUnavailable: 1 },
      gangMin: 4,
    });
    expect(specOf({ ...service, priority: { band: "system", level: 7 } }).priority).toEqual({
      band: "system",
      level: 7,
    });
  });

  test.each([
    [{ disruption: { maxUnavailable: 1, minAvailable: 1 } }, "/disruption"],
    [{ gang: { min: 3 }, array: { size: 2 } }, "/gang/min"],
    [{ gang: true, array: { size: 300 } }, "/gang"],
    [{ gang: true, array: { size: 4, maxRunning: 2 } }, "/array/maxRunning"],
    [{ priority: "urgent" }, "/priority"],
    [{ priority: { band: "batch", level: 100 } }, "/priority/level"],
  ])("that contradict themselves are named: %j", (part, pointer) => {
    expect(errorsOf({ ...batch, ...part }).map((error) => error.pointer)).toEqual([pointer]);
  });
});
