/** The whole public surface: every wire type, once. */
export * from "./agent.ts";
export * from "./allocation.ts";
export * from "./api.ts";
export * from "./decode.ts";
export * from "./field-errors.ts";
export * from "./host.ts";
export * from "./ids.ts";
export * from "./job-parse.ts";
export * from "./job.ts";
export * from "./log.ts";
export * from "./plan.ts";
export * from "./problem.ts";
export * from "./resources.ts";
export * from "./result.ts";
export * from "./routes.ts";
export * from "./subjects.ts";
export * from "./units.ts";
