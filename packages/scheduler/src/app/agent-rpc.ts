/** Asks one agent something, by a signed request that is bound to the agent's session and our epoch. */
import { err, problem, type HostId, type Problem, type Result, type Rpc } from "@berth/schema";
import type { AgentLine } from "../ports/bus.ts";
import type { Signer } from "../ports/signer.ts";
import type { ClusterState } from "../core/index.ts";

const ANSWER_MS = 5_000;
/** Requests to agents at a time; the others wait their turn in the caller. */
const MAX_ASKED = 256;

/** The answer's value is not decoded yet. `waitMs`: how much longer than usual the agent may take. */
export type AskAgent = (host: HostId, op: Rpc["op"], waitMs?: number) => Promise<Result<unknown, Problem>>;

/** Has one agent answer another one's request, see AgentLine. False when the agent that should is not there. */
export type Introduce = (host: HostId, op: Rpc["op"], replyTo: string) => boolean;

export const createIntroduce =
  (state: ClusterState, line: AgentLine, signer: Signer): Introduce =>
  (id, op, replyTo) => {
    const host = state.hosts.get(id);
    if (host === undefined || host.session === null || host.state === "lost") return false;
    line.introduce(id, signer.sign({ host: id, session: host.session, epoch: state.epoch, op }), replyTo);
    return true;
  };

export const createAskAgent = (state: ClusterState, line: AgentLine, signer: Signer): AskAgent => {
  let asked = 0;
  return async (id, op, waitMs = 0) => {
    const host = state.hosts.get(id);
    if (host === undefined) return err(problem("host.not_found", `there is no host ${id}`));
    if (host.session === null || host.state === "lost") {
      return err(problem("agent.unreachable", `host ${id} is silent`, { retryAfterMs: 2_000 }));
    }
    if (asked >= MAX_ASKED) {
      return err(problem("agent.unreachable", "too many requests wait for agents already", { retryAfterMs: 1_000 }));
    }
    const rpc: Rpc = { host: host.id, session: host.session, epoch: state.epoch, op };
    asked += 1;
    try {
      return await line.ask(host.id, signer.sign(rpc), ANSWER_MS + waitMs);
    } finally {
      asked -= 1;
    }
  };
};
