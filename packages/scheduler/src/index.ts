/** The scheduler as a library: everything that other packages may use. */
export {
  DEFAULT_HEARTBEAT_MS,
  DEFAULT_LOST_AFTER_MS,
  runScheduler,
  type RunningScheduler,
  type SchedulerOptions,
} from "./run-scheduler.ts";
export type { EmbeddedBus, ExternalBus } from "./open-bus.ts";
export { prepareRestore, type PreparedRestore } from "./restore.ts";
export { StartupProblem } from "./ports/startup-problem.ts";
