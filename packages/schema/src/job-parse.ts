/** Job document → job spec: defaults, quantities, and the rules that JSON Schema cannot say. All errors at once. */
import { containerSettingsOf } from "./container-parse.ts";
import { checkDaemon } from "./daemon-parse.ts";
import { decoder } from "./decode.ts";
import { devicesOf } from "./device-parse.ts";
import { DocumentErrors } from "./job-errors.ts";
import { JobDocumentSchema, type JobDocument, type JobSpec } from "./job.ts";
import type { ProjectName } from "./ids.ts";
import { BUILTIN_IMAGE, isImageReference, parseImageReference } from "./image-reference.ts";
import { problem, type FieldError, type Problem } from "./problem.ts";
import { err, ok, type Result } from "./result.ts";
import { parseExpression } from "./expression.ts";
import { leastSingletonAfterMs } from "./lease.ts";
import { networkOf } from "./network.ts";
import { isPlace } from "./placement-rules.ts";
import { portsOf } from "./ports.ts";
import { policyOf } from "./policy-parse.ts";
import { DIMENSIONS, MAX_CPU_MILLIS, MAX_MEMORY_BYTES, MIN_CPU_MILLIS, MIN_MEMORY_BYTES } from "./resources.ts";
import { isNormal } from "./paths.ts";
import { SECRETS_DIRECTORY } from "./secret.ts";
import { secretsOf } from "./secret-parse.ts";
import { parseBytes, parseCpuMillis, parseDurationMs } from "./units.ts";
import { volumeMountsOf } from "./volume-parse.ts";

export const DEFAULT_PROJECT = "default" as ProjectName;

/** Booked when a document names nothing: small enough to start anywhere, large enough to start at all. */
const DEFAULT_CPU_MILLIS = 100;
const DEFAULT_MEMORY_BYTES = 128 * 2 ** 20;
const DEFAULT_PIDS = 256;
const MAX_DURATION_MS = 366 * 86_400_000;
const DEFAULT_STOP_MS = 10_000;

const decodeDocument = decoder(JobDocumentSchema);

/** Targets that the runtime mounts itself: a volume there would hide what keeps the container isolated. */
const RESERVED_TARGETS = ["/proc", "/sys", "/dev"];

const isUnder = (path: string, parent: string): boolean => path === parent || path.startsWith(`${parent}/`);
const resourcesOf = (
  document: JobDocument,
  errors: DocumentErrors,
): Pick<JobSpec, "requests" | "limits" | "devices" | "ports"> => {
  const at = "/resources";
  const { cpu, memory, pids, disk, network, more } = document.resources ?? {};
  const cpuRequest =
    cpu?.request === undefined
      ? DEFAULT_CPU_MILLIS
      : errors.take(`${at}/cpu/request`, parseCpuMillis(cpu.request), DEFAULT_CPU_MILLIS);
  const cpuLimit =
    cpu?.limit === undefined ? null : errors.take(`${at}/cpu/limit`, parseCpuMillis(cpu.limit), cpuRequest);
  const memoryLimitGiven =
    memory?.limit === undefined
      ? undefined
      : errors.take(`${at}/memory/limit`, parseBytes(memory.limit), MIN_MEMORY_BYTES);
  const memoryRequest =
    memory?.request === undefined
      ? Math.min(DEFAULT_MEMORY_BYTES, memoryLimitGiven ?? DEFAULT_MEMORY_BYTES)
      : errors.take(`${at}/memory/request`, parseBytes(memory.request), MIN_MEMORY_BYTES);
  const memoryLimit = memoryLimitGiven ?? memoryRequest;
  if (cpuRequest < MIN_CPU_MILLIS || cpuRequest > MAX_CPU_MILLIS) {
    errors.add(`${at}/cpu/request`, "must be between 10m and 1000000 CPUs");
  }
  if (cpuLimit !== null && (cpuLimit < cpuRequest || cpuLimit > MAX_CPU_MILLIS)) {
    errors.add(`${at}/cpu/limit`, "must not be below the request, nor above 1000000 CPUs");
  }
  if (memoryRequest < MIN_MEMORY_BYTES || memoryRequest > MAX_MEMORY_BYTES) {
    errors.add(`${at}/memory/${memory?.request === undefined ? "limit" : "request"}`, "must be between 4Mi and 1024Ti");
  }
  if (memoryLimit < memoryRequest || memoryLimit > MAX_MEMORY_BYTES) {
    errors.add(`${at}/memory/limit`, "must not be below the request, nor above 1024Ti");
  }
  const pidCount = pids ?? DEFAULT_PIDS;
  const further: Record<string, number> = {};
  for (const [name, amount] of Object.entries(more ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    if ((DIMENSIONS as readonly string[]).includes(name))
      errors.add(`${at}/more/${name}`, "is asked for by its own field");
    else if (amount > 0) further[name] = amount;
  }
  if (disk !== undefined) {
    if (further["diskBytes"] !== undefined) errors.add(`${at}/disk`, "is asked for twice, see more.diskBytes");
    further["diskBytes"] = errors.take(`${at}/disk`, parseBytes(disk), 0);
  }
  networkOf(network, further, errors);
  const limits = {
    cpuMillis: cpuLimit,
    memoryBytes: memoryLimit,
    pids: pidCount,
    ...furtherLimitsOf(document, { cpuLimit, memoryLimit }, errors),
  };
  const requests = { cpuMillis: cpuRequest, memoryBytes: memoryRequest, pids: pidCount };
  const ports = portsOf(document.ports, further, errors);
  const devices = devicesOf(document, requests, further, errors);
  return {
    ...(ports.length === 0 ? {} : { ports: [...ports] }),
    ...(devices.length === 0 ? {} : { devices: [...devices] }),
    requests: Object.keys(further).length === 0 ? requests : { ...requests, more: further },
    limits,
  };
};

/** Limits that hold only when they are asked for. */
const furtherLimitsOf = (
  document: JobDocument,
  { cpuLimit, memoryLimit }: { readonly cpuLimit: number | null; readonly memoryLimit: number },
  errors: DocumentErrors,
): Partial<JobSpec["limits"]> => {
  const at = "/resources";
  const { cpu, memory, io } = document.resources ?? {};
  const found: { -readonly [K in keyof JobSpec["limits"]]?: JobSpec["limits"][K] } = {};
  const bytes = (name: "high" | "low" | "swap"): number | undefined => {
    const given = memory?.[name];
    return given === undefined ? undefined : errors.take(`${at}/memory/${name}`, parseBytes(given), 0);
  };
  if (cpu?.burst !== undefined) {
    found.cpuBurstMillis = errors.take(`${at}/cpu/burst`, parseCpuMillis(cpu.burst), 0);
    if (cpuLimit === null) errors.add(`${at}/cpu/burst`, "is what may be used beyond a limit, and there is none");
    else if (found.cpuBurstMillis > cpuLimit) errors.add(`${at}/cpu/burst`, "must not be above the limit");
  }
  const [high, low, swap] = [bytes("high"), bytes("low"), bytes("swap")];
  if (high !== undefined) {
    found.memoryHighBytes = high;
    if (high < MIN_MEMORY_BYTES || high > memoryLimit) {
      errors.add(`${at}/memory/high`, "must be between 4Mi and the limit");
    }
  }
  if (low !== undefined) {
    found.memoryLowBytes = low;
    if (low > memoryLimit) errors.add(`${at}/memory/low`, "must not be above the limit");
  }
  if (swap !== undefined) {
    found.swapBytes = swap;
    if (swap > MAX_MEMORY_BYTES) errors.add(`${at}/memory/swap`, "must not be above 1024Ti");
  }
  if (io?.weight !== undefined) found.ioWeight = io.weight;
  return found;
};

const countOf = (document: JobDocument, errors: DocumentErrors): Pick<JobSpec, "count" | "maxRunning"> => {
  if (document.kind === "daemon") return { count: 0, maxRunning: null };
  if (document.kind === "service") {
    if (document.array !== undefined) errors.add("/array", 'a service has "replicas"; "array" is for kind: batch');
    return { count: document.replicas ?? 1, maxRunning: null };
  }
  if (document.replicas !== undefined)
    errors.add("/replicas", 'a batch job has "array: { size }"; "replicas" is for kind: service');
  return { count: document.array?.size ?? 1, maxRunning: document.array?.maxRunning ?? null };
};

const mountsOf = (
  document: JobDocument,
  errors: DocumentErrors,
): Pick<JobSpec, "volumes" | "outputs" | "container"> => {
  const targets = new Set<string>();
  const target = (pointer: string, path: string): void => {
    if (!isNormal(path) || path === "/")
      errors.add(pointer, 'must be an absolute path other than "/", without ".", ".." or "//"');
    else if (RESERVED_TARGETS.some((reserved) => isUnder(path, reserved))) {
      errors.add(pointer, `lies under ${RESERVED_TARGETS.join(", ")}, which the runtime mounts itself`);
    } else if (document.secrets !== undefined && isUnder(path, SECRETS_DIRECTORY)) {
      errors.add(pointer, `lies under ${SECRETS_DIRECTORY}, where the secrets of the job are`);
    } else if (targets.has(path)) errors.add(pointer, `"${path}" is used twice`);
    targets.add(path);
  };
  const { volumes, inMemory } = volumeMountsOf(document, errors, target);
  const outputs = (document.outputs ?? []).map((output, at) => {
    target(`/outputs/${at}/path`, output.path);
    return { path: output.path };
  });
  const settings = containerSettingsOf(document.container, errors, target);
  const container =
    inMemory.length === 0 ? settings : { ...settings, mounts: [...(settings?.mounts ?? []), ...inMemory] };
  return container === undefined ? { volumes, outputs } : { volumes, outputs, container };
};

const placementOf = (document: JobDocument, errors: DocumentErrors): Pick<JobSpec, "placement"> => {
  const rules = document.placement;
  if (rules === undefined) return {};
  const expression = (pointer: string, source: string): void => {
    const parsed = parseExpression(source);
    if (!parsed.ok) errors.add(pointer, parsed.error);
  };
  const place = (pointer: string, by: string | undefined): void => {
    if (!isPlace(by ?? "host")) errors.add(pointer, `"${by}" is no place; use host or host.labels.NAME`);
  };
  rules.require?.forEach((source, at) => expression(`/placement/require/${at}`, source));
  rules.prefer?.forEach(({ rule }, at) => expression(`/placement/prefer/${at}/rule`, rule));
  rules.spread?.forEach(({ by }, at) => place(`/placement/spread/${at}/by`, by));
  rules.apart?.forEach(({ by }, at) => place(`/placement/apart/${at}/by`, by));
  rules.together?.forEach(({ by }, at) => place(`/placement/together/${at}/by`, by));
  const { require, prefer, spread, groups, apart, together, maxPerHost } = rules;
  // In one order, so that equal documents give equal specs.
  const placement = {
    ...(filled(require) && { require }),
    ...(filled(prefer) && { prefer: prefer.map(({ rule, weight }) => ({ rule, weight })) }),
    ...(filled(spread) && {
      spread: spread.map(({ by, maxSkew, weight }) => ({
        by,
        ...(maxSkew !== undefined && { maxSkew }),
        ...(weight !== undefined && { weight }),
      })),
    }),
    ...(filled(groups) && { groups }),
    ...(filled(apart) && { apart: apart.map(ordered) }),
    ...(filled(together) && { together: together.map(ordered) }),
    ...(maxPerHost !== undefined && { maxPerHost }),
  };
  return Object.keys(placement).length === 0 ? {} : { placement };
};

const filled = <T>(list: readonly T[] | undefined): list is readonly T[] & T[] => list !== undefined && list.length > 0;
const ordered = ({ group, by }: { readonly group: string; readonly by?: string }) => ({
  group,
  ...(by !== undefined && { by }),
});

const durationOf = (pointer: string, text: string, errors: DocumentErrors): number => {
  const value = errors.take(pointer, parseDurationMs(text), 0);
  if (value > MAX_DURATION_MS) errors.add(pointer, "must not be longer than 366d");
  return value;
};

const restartOf = (document: JobDocument, errors: DocumentErrors): JobSpec["restart"] => {
  const { on, max, backoff, exitCodes } = document.restart ?? {};
  const parts = (backoff ?? "1s..60s").split("..");
  const [first, longest] = [parts[0] ?? "", parts[1] ?? parts[0] ?? ""];
  if (parts.length > 2) errors.add("/restart/backoff", "write it like 1s..60s: first wait, longest wait");
  const backoffFirstMs = durationOf("/restart/backoff", first, errors);
  const backoffLongestMs = durationOf("/restart/backoff", longest, errors);
  if (backoffLongestMs < backoffFirstMs) errors.add("/restart/backoff", "the longest wait is shorter than the first");
  const retryCodes = exitCodes?.retry ?? [];
  const fatalCodes = exitCodes?.fatal ?? [];
  const both = retryCodes.find((code) => fatalCodes.includes(code));
  if (both !== undefined) errors.add("/restart/exitCodes", `${both} is listed as retry and as fatal`);
  return {
    on: on ?? (document.kind !== "batch" ? "always" : max === undefined ? "never" : "failure"),
    max: max ?? null,
    backoffFirstMs,
    backoffLongestMs,
    retryCodes,
    fatalCodes,
  };
};

const disconnectOf = (
  document: JobDocument,
  stopTimeoutMs: number,
  errors: DocumentErrors,
): Pick<JobSpec, "disconnect"> => {
  const { after, action = "replace", singleton = false } = document.disconnect ?? {};
  const afterMs = after === undefined ? null : durationOf("/disconnect/after", after, errors);
  if (action === "keep" && after !== undefined)
    errors.add("/disconnect/after", "with action: keep the task waits for its host, however long that takes");
  if (action === "keep" && singleton)
    errors.add("/disconnect/singleton", "with action: keep the task never runs in two places anyway");
  const least = leastSingletonAfterMs(stopTimeoutMs);
  if (action === "replace" && singleton && afterMs !== null && afterMs < least) {
    errors.add(
      "/disconnect/after",
      `a singleton is replaced after ${least / 1_000}s at the earliest: it has to be stopped on its host before, which takes up to timeouts.stop`,
    );
  }
  if (afterMs === null && action === "replace" && !singleton) return {};
  return { disconnect: { afterMs, action, singleton } };
};

const checkImage = ({ image, command }: JobDocument, errors: DocumentErrors): void => {
  if (image === BUILTIN_IMAGE) {
    if (command === undefined) errors.add("/command", `${BUILTIN_IMAGE} names no program: say what to run`);
    return;
  }
  if (!isImageReference(image)) {
    errors.add(
      "/image",
      `"${image}" is not known here; use oci://REGISTRY/REPOSITORY:TAG, distro://debian/12 or ${BUILTIN_IMAGE}`,
    );
    return;
  }
  const reference = parseImageReference(image);
  if (!reference.ok) errors.add("/image", reference.error);
};

/**
 * Decodes and completes a job document. All that is wrong is listed, each place once, as `job.spec_invalid` with JSON
 * pointers into the document.
 */
export const parseJobDocument = (input: unknown): Result<JobSpec, Problem> => {
  const decoded = decodeDocument(input);
  if (!decoded.ok) return err(invalid(decoded.error));
  const document = decoded.value;
  const errors = new DocumentErrors();
  if (document.kind !== "batch" && document.restart?.on === "never") {
    errors.add("/restart/on", `a ${document.kind} is restarted; use kind: batch for work that ends`);
  }
  if (document.kind !== "batch" && document.outputs !== undefined) {
    errors.add("/outputs", `outputs are collected when a task succeeds; a ${document.kind} never ends`);
  }
  checkDaemon(document, errors);
  const command = document.command ?? [];
  if (command[0] === "") errors.add("/command/0", "the program is empty");
  command.forEach((word, at) => {
    if (word.includes("\0")) errors.add(`/command/${at}`, "must not contain a NUL character");
  });
  if (!isNormal(document.workdir ?? "/")) errors.add("/workdir", 'must be an absolute path without ".", ".." or "//"');
  checkImage(document, errors);
  const env: Record<string, string> = {};
  for (const [key, value] of Object.entries(document.env ?? {})) {
    const text = String(value);
    // Assigning to it would change the prototype instead of the environment, here or in whoever copies it.
    if (key === "__proto__") errors.add(`/env/${key}`, "is not a possible name");
    else if (text.includes("\0")) errors.add(`/env/${key}`, "must not contain a NUL character");
    else env[key] = text;
  }
  const stopTimeoutMs =
    document.timeouts?.stop === undefined
      ? DEFAULT_STOP_MS
      : durationOf("/timeouts/stop", document.timeouts.stop, errors);
  const spec: JobSpec = {
    name: document.name,
    project: document.project ?? DEFAULT_PROJECT,
    kind: document.kind,
    image: document.image,
    command,
    ...(document.user === undefined ? {} : { user: document.user }),
    env,
    workdir: document.workdir ?? (document.image === BUILTIN_IMAGE ? "/" : ""),
    ...resourcesOf(document, errors),
    ...countOf(document, errors),
    ...placementOf(document, errors),
    ...policyOf(document, errors),
    ...mountsOf(document, errors),
    ...secretsOf(document, errors),
    restart: restartOf(document, errors),
    runTimeoutMs:
      document.timeouts?.run === undefined ? null : durationOf("/timeouts/run", document.timeouts.run, errors),
    stopTimeoutMs,
    ...disconnectOf(document, stopTimeoutMs, errors),
  };
  return errors.list.length === 0 ? ok(spec) : err(invalid(errors.list));
};

const invalid = (errors: readonly FieldError[]): Problem => {
  const first = errors[0];
  const rest = errors.length > 1 ? ` (and ${errors.length - 1} more)` : "";
  const detail =
    first === undefined ? "" : `${first.pointer === "" ? "document" : first.pointer}: ${first.message}${rest}`;
  return problem("job.spec_invalid", detail, { errors });
};
