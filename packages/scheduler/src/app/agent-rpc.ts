/** Asks one agent something, by a signed request that is bound to the agent's session and our epoch. */
import {
  err,
  ok,
  problem,
  RPC_VALID_MS,
  type HostId,
  type Problem,
  type Result,
  type Rpc,
  type Signed,
} from "@berth/schema";
import type { AgentLine } from "../ports/bus.ts";
import type { Clock } from "../ports/clock.ts";
import type { Signer } from "../ports/signer.ts";
import type { ClusterState } from "../core/index.ts";
import { createTurns } from "./turns.ts";

const ANSWER_MS = 5_000;
/** Requests to all agents at a time; the others wait their turn. */
const ASKED = { most: 256, maxWaiting: 4_096, patienceMs: ANSWER_MS };
/** And to one agent, so that one which answers late, or never, takes the turns of no other. */
const ASKED_EACH = { most: 64, maxWaiting: 1_024, patienceMs: ANSWER_MS };

/** The answer's value is not decoded yet. `waitMs`: how much longer than usual the agent may take. */
export type AskAgent = (host: HostId, op: Rpc["op"], waitMs?: number) => Promise<Result<unknown, Problem>>;

/** Has one agent answer another one's request, see AgentLine. False when the agent that should is not there. */
export type Introduce = (host: HostId, op: Rpc["op"], replyTo: string) => boolean;

/** A request to this session of a host, signed; numbered, so that none is obeyed twice. */
export type SignRpc = (host: HostId, session: string, op: Rpc["op"]) => Signed;

export const createSignRpc = (
  state: ClusterState,
  signer: Signer,
  clock: Pick<Clock, "nowMs" | "randomBytes">,
): SignRpc => {
  const issuer = Buffer.from(clock.randomBytes(12)).toString("hex");
  let seq = 0;
  return (host, session, op) => {
    seq += 1;
    const rpc: Rpc = { host, session, epoch: state.epoch, issuer, seq, expiresAtMs: clock.nowMs() + RPC_VALID_MS, op };
    return signer.sign(rpc);
  };
};

export const createIntroduce =
  (state: ClusterState, line: AgentLine, sign: SignRpc): Introduce =>
  (id, op, replyTo) => {
    const host = state.hosts.get(id);
    if (host === undefined || host.session === null || host.state === "lost") return false;
    line.introduce(id, sign(id, host.session, op), replyTo);
    return true;
  };

export const createAskAgent = (state: ClusterState, line: AgentLine, sign: SignRpc): AskAgent => {
  const refused = (detail: string): Problem => problem("agent.unreachable", detail, { retryAfterMs: 1_000 });
  const ofAll = createTurns(ASKED, () => refused("too many requests wait for agents already"));
  const ofEach = createTurns(ASKED_EACH, (host) => refused(`too many requests wait for host ${host} already`));

  const reach = (id: HostId): Result<string, Problem> => {
    const host = state.hosts.get(id);
    if (host === undefined) return err(problem("host.not_found", `there is no host ${id}`));
    if (host.session === null || host.state === "lost") {
      return err(problem("agent.unreachable", `host ${id} is silent`, { retryAfterMs: 2_000 }));
    }
    return ok(host.session);
  };

  return async (id, op, waitMs = 0) => {
    const before = reach(id);
    if (!before.ok) return before;
    return ofEach(id, () =>
      ofAll("", async () => {
        // It may have come in a new session, or gone, while this waited.
        const session = reach(id);
        return session.ok ? line.ask(id, sign(id, session.value, op), ANSWER_MS + waitMs) : session;
      }),
    );
  };
};
