/**
 * Writes the flat spec of include/spec.h. Says early and by field name what the supervisor would refuse anyway; the
 * supervisor checks again and believes nothing of this.
 */
import { constants } from "node:os";
import { nativeError } from "./errors.ts";
import { CONTROLLERS, type Hierarchy } from "./cgroup-layout.ts";
import { firstMistakeOf } from "./resources/resources.ts";
import type { Setting } from "./resources/setting.ts";
import type { ContainerSpec, LogLimits, NativeError, TerminalSize } from "./types.ts";

const MAGIC = 0x48545242;
const VERSION = 2;
const HEADER_BYTES = 136;
const MAX_BYTES = 4 * 1024 * 1024;
const MAX_STRING = 131_071;
const MAX_PATH = 4095;
const ID_COUNT = 65_536;
const FLAG_ATTACH_LAYERS = 1;
const MOUNT_READ_ONLY = 1;

const STDIO = { pipe: 1, terminal: 2, logWaits: 4 } as const;
const DEFAULT_LOG = {
  maxBytes: 64 * 1024 * 1024,
  files: 4,
  bytesPerSecond: 16 * 1024 * 1024,
  beyond: "discard",
} as const;
const LEAST_LOG_BYTES = 128 * 1024;
const MAX_LOG_RATE = 2 ** 40;

export const isContainerId = (id: string): boolean => /^[a-z0-9_-]{1,64}$/.test(id);
/** A cgroup path below the root of a hierarchy: plain names, no dots in front. */
export const isCgroupParent = (path: string): boolean =>
  path.length <= 255 && /^[A-Za-z0-9_-][A-Za-z0-9_.-]*(\/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*$/.test(path);

export interface SpecContext {
  readonly cgroupParent: string;
  readonly hierarchies: readonly Hierarchy[];
  /** What is written into the container's cgroups, in this order; every `path` is one of `hierarchies`. */
  readonly cgroupWrites: readonly Pick<Setting, "path" | "file" | "value">[];
  readonly log: LogLimits;
  /** Kernels before 6.15 want the layers of an overlay attached to a mount namespace. */
  readonly attachLayers: boolean;
}

type Encoded = { readonly ok: true; readonly value: Buffer } | { readonly ok: false; readonly error: NativeError };

export const encodeSpec = (spec: ContainerSpec, context: SpecContext): Encoded => {
  const log = { ...DEFAULT_LOG, ...context.log, ...spec.log };
  const wrong = firstMistake(spec) ?? logMistake(log);
  if (wrong !== undefined) return { ok: false, error: nativeError("spec", constants.errno.EINVAL, wrong) };

  const parts: Buffer[] = [];
  let end = HEADER_BYTES;
  const append = (bytes: Buffer): number => {
    const offset = end;
    parts.push(bytes);
    end += bytes.length;
    return offset;
  };
  const text = (value: string): readonly [number, number] => {
    const bytes = Buffer.from(`${value}\0`, "utf8");
    return [append(bytes), bytes.length - 1];
  };
  /** Arrays hold 32-bit words, so they start at a multiple of 4. */
  const words = (rows: readonly (readonly number[])[]): readonly [number, number] => {
    append(Buffer.alloc((4 - (end % 4)) % 4));
    const flat = rows.flat();
    const bytes = Buffer.alloc(flat.length * 4);
    flat.forEach((word, i) => bytes.writeUInt32LE(word, i * 4));
    return [append(bytes), rows.length];
  };
  const texts = (values: readonly string[]) => words(values.map(text));

  const refs = [
    text(spec.id),
    text(spec.hostname),
    text(spec.workdir),
    text(context.cgroupParent),
    texts(spec.layers),
    texts(spec.command),
    texts(Object.entries(spec.env).map(([name, value]) => `${name}=${value}`)),
    words(spec.mounts.map((m) => [...text(m.source), ...text(m.target), m.readOnly ? MOUNT_READ_ONLY : 0, 0])),
    words(context.hierarchies.map((h) => [...text(h.path), h.version, controllerBits(h)])),
    words(
      context.cgroupWrites.map((write) => [
        context.hierarchies.findIndex((hierarchy) => hierarchy.path === write.path),
        ...text(write.file),
        ...text(write.value),
      ]),
    ),
  ];
  if (end > MAX_BYTES) {
    return {
      ok: false,
      error: nativeError(
        "spec",
        constants.errno.E2BIG,
        `the spec needs ${end} bytes, at most ${MAX_BYTES} are allowed`,
      ),
    };
  }

  const header = Buffer.alloc(HEADER_BYTES);
  [MAGIC, VERSION, end, context.attachLayers ? FLAG_ATTACH_LAYERS : 0].forEach((word, i) =>
    header.writeUInt32LE(word, i * 4),
  );
  /* What is in /dev/shm counts as memory, so more than that can never be there. */
  header.writeBigUInt64LE(BigInt(spec.limits.memoryBytes), 16);
  header.writeBigUInt64LE(BigInt(log.maxBytes), 24);
  header.writeBigUInt64LE(BigInt(log.bytesPerSecond ?? 0), 32);
  const stdio =
    (spec.stdin === "pipe" ? STDIO.pipe : 0) |
    (spec.terminal === undefined ? 0 : STDIO.terminal) |
    (log.beyond === "wait" ? STDIO.logWaits : 0);
  const terminal = spec.terminal === undefined ? 0 : spec.terminal.rows * 65_536 + spec.terminal.columns;
  [spec.idBase, log.files, stdio, terminal, ...refs.flat()].forEach((word, i) =>
    header.writeUInt32LE(word, 40 + i * 4),
  );
  return { ok: true, value: Buffer.concat([header, ...parts]) };
};

const controllerBits = (hierarchy: Hierarchy): number =>
  CONTROLLERS.reduce((bits, name, i) => (hierarchy.controllers.includes(name) ? bits | (1 << i) : bits), 0);

const whole = (value: number, least: number, most: number): boolean =>
  Number.isSafeInteger(value) && value >= least && value <= most;
const bytesOf = (value: string): number => Buffer.byteLength(value, "utf8");
const isText = (value: string, most: number): boolean => !value.includes("\0") && bytesOf(value) <= most;
const isPath = (value: string): boolean =>
  value.startsWith("/") && isText(value, MAX_PATH) && !value.split("/").includes("..");
const shown = (value: string): string => JSON.stringify(value.slice(0, 80));

/** A sentence on the first thing that cannot be, or undefined. */
const firstMistake = (spec: ContainerSpec): string | undefined => {
  if (!isContainerId(spec.id)) return `id: ${shown(spec.id)} is not 1 to 64 of a-z, 0-9, _ and -`;
  if (!/^[A-Za-z0-9.-]{1,64}$/.test(spec.hostname))
    return `hostname: ${shown(spec.hostname)} is not a host name of at most 64 characters`;
  if (!isPath(spec.workdir)) return `workdir: ${shown(spec.workdir)} is not an absolute path without ".."`;
  if (spec.layers.length < 1 || spec.layers.length > 64)
    return `layers: ${spec.layers.length} given, 1 to 64 are possible`;
  const layer = spec.layers.find((path) => !isPath(path));
  if (layer !== undefined) return `layers: ${shown(layer)} is not an absolute path without ".."`;
  if (spec.command.length < 1 || spec.command.length > 4096)
    return `command: ${spec.command.length} words, 1 to 4096 are possible`;
  if (spec.command[0] === "") return "command: the program's name is empty";
  if (spec.command.some((word) => !isText(word, MAX_STRING)))
    return "command: a word contains NUL or is longer than 131071 bytes";
  const env = Object.entries(spec.env);
  if (env.length > 4096) return `env: ${env.length} variables, at most 4096 are possible`;
  for (const [name, value] of env) {
    if (name === "" || name.includes("=")) return `env: ${shown(name)} is not a name`;
    if (!isText(`${name}=${value}`, MAX_STRING))
      return `env: ${shown(name)} contains NUL or is longer than 131071 bytes`;
  }
  if (spec.mounts.length > 128) return `mounts: ${spec.mounts.length} given, at most 128 are possible`;
  for (const mount of spec.mounts) {
    if (!isPath(mount.source)) return `mounts: source ${shown(mount.source)} is not an absolute path without ".."`;
    if (!isPath(mount.target)) return `mounts: target ${shown(mount.target)} is not an absolute path without ".."`;
    if (isReserved(mount.target)) return `mounts: target ${shown(mount.target)} is reserved`;
  }
  if (!whole(spec.idBase, ID_COUNT, 0xffff_ffff - 2 * ID_COUNT))
    return `idBase: ${spec.idBase} is not in ${ID_COUNT}..${0xffff_ffff - 2 * ID_COUNT}`;
  if (spec.terminal !== undefined && !isTerminalSize(spec.terminal))
    return `terminal: ${spec.terminal.rows} rows and ${spec.terminal.columns} columns are not 1 to 65535 each`;
  if (spec.terminal !== undefined && spec.stdin !== undefined) return "stdin: a terminal has its own";
  return firstMistakeOf(spec.limits);
};

export const isTerminalSize = ({ rows, columns }: TerminalSize): boolean =>
  whole(rows, 1, 65_535) && whole(columns, 1, 65_535);

const logMistake = (log: Required<LogLimits>): string | undefined => {
  if (log.maxBytes !== 0 && !whole(log.maxBytes, LEAST_LOG_BYTES, Number.MAX_SAFE_INTEGER))
    return `log.maxBytes: ${log.maxBytes} is neither 0 nor at least ${LEAST_LOG_BYTES}`;
  if (!whole(log.files, 2, 64)) return `log.files: ${log.files} is not in 2..64`;
  if (log.bytesPerSecond !== null && !whole(log.bytesPerSecond, 4096, MAX_LOG_RATE))
    return `log.bytesPerSecond: ${log.bytesPerSecond} is not null or in 4096..${MAX_LOG_RATE}`;
  return undefined;
};

/** What a program believes about the kernel comes from the kernel: /proc, /sys, /dev and the root itself stay. */
const isReserved = (target: string): boolean => {
  const [first] = target.split("/").filter((part) => part !== "" && part !== ".");
  return first === undefined || first === "proc" || first === "sys" || first === "dev";
};
