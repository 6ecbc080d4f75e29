/**
 * What a container is, as the runtime sees it: plain data in, plain data out. Everything above (images, jobs, retries)
 * belongs to the agent; everything below (clone, mounts, cgroup files) to the supervisor.
 */
export type * from "./types/container.ts";
export type * from "./types/error.ts";
export type * from "./types/exec.ts";
export type * from "./types/mounts.ts";
export type * from "./types/runtime.ts";
export type * from "./types/security.ts";
export type * from "./types/spec.ts";
export type { IoLimit, Knob, Resources, Unenforced } from "./resources/resources.ts";
export type { UpdateResult } from "./resources/limits.ts";
export type { ContainerEvent, PressureTrigger, Watch } from "./watch.ts";
