/** The runtime's whole public surface. */
export type * from "./types.ts";
export type * from "./network/types.ts";
export type {
  SeccompAction,
  SeccompArgument,
  SeccompOperator,
  SeccompProfile,
  SeccompRule,
} from "./seccomp/profile.ts";
export { NativeFailure } from "./errors.ts";
export { openRuntime } from "./runtime.ts";
export { readCgroupLayout, type CgroupLayout, type Hierarchy } from "./cgroup-layout.ts";
export { openLog, type LogPiece, type LogRange, type LogReader, type RecordsOptions } from "./log.ts";
export { type LogRecord, type LogStream } from "./log-format.ts";
export { ensureBusyboxRootfs } from "./rootfs.ts";
export { packTree, syncTree, type PackOptions, type PackReport } from "./pack.ts";
export { canLimitTrees } from "./quota.ts";
export { removeTree } from "./tree.ts";
export { readXattr } from "./xattr.ts";
export {
  canMapIds,
  limitTree,
  sealTree,
  shiftTree,
  unpackFiles,
  unpackLayer,
  UNPACK_LIMITS,
  type SealResult,
  type UnpackFailure,
  type UnpackLimits,
  type UnpackResult,
} from "./unpack.ts";
