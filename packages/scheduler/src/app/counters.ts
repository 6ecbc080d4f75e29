/** What the application counts; where the numbers go is the adapter's affair. */
import type { EvaluatorCounters } from "./evaluator.ts";

export interface Counters extends EvaluatorCounters {
  readonly documentFailed: () => void;
  readonly watcherDropped: () => void;
  readonly heartbeat: (outcome: "taken" | "unknown_host" | "invalid" | "other_session") => void;
  readonly agentRefused: (reason: AgentRefusal) => void;
  /** The server refused a client something, or a client itself. */
  readonly busRefused: (kind: BusRefusal) => void;
}

/** `form`: it cannot be read. `foreign`: it speaks of what another host has. */
export type AgentRefusal = "inbox" | "size" | "busy" | "text" | "rate" | "form" | "foreign";
export type BusRefusal = "publish" | "subscribe" | "authentication";
