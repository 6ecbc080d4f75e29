/** The agent's whole public surface. */
export { ensureIdentity, type Identity } from "./adapters/nats/identity.ts";
export {
  agentVersion,
  defaultCgroupParent,
  measureAllocatable,
  runAgent,
  StartupProblem,
  type AgentOptions,
  type RunningAgent,
} from "./run-agent.ts";
export { readJoined, writeJoined, type JoinedFile } from "./adapters/files/joined.ts";
export { stopAllContainers } from "./stop-all.ts";
export type { Share } from "./core/capacity.ts";
