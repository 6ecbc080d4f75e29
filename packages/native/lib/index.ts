/** The runtime's whole public surface. */
export type * from "./types.ts";
export { NativeFailure } from "./errors.ts";
export { openRuntime } from "./runtime.ts";
export { readCgroupLayout, type CgroupLayout, type Hierarchy } from "./cgroup-layout.ts";
export { ensureBusyboxRootfs } from "./rootfs.ts";
