/**
 * Gives a container that runs the limits that its job has now. What the host cannot do (memory below what is in use) is
 * told in the heartbeat, and tried again ever less often, since each try takes memory from the container for a moment: the
 * former limits hold until then.
 */
import { isDeepStrictEqual } from "node:util";
import { limitsNow } from "../core/container-spec.ts";
import { backoffMs, type Backoff } from "../core/backoff.ts";
import { limitsKey } from "../core/diff.ts";
import type { AgentContext } from "./context.ts";
import { messageOf, type ActionOf } from "./record-changes.ts";

const RETRY: Backoff = { firstMs: 20_000, longestMs: 320_000 };
const MAX_REASON = 300;

export const limit = async (context: AgentContext, { id, spec }: ActionOf<"limit">): Promise<void> => {
  const { clock, log, state, wake } = context;
  const live = state.containers.get(id);
  if (live === undefined || live.exit !== undefined) return;
  const key = limitsKey(spec);
  const before = live.container.limits;
  const wanted = limitsNow(spec, before);
  const holds = isDeepStrictEqual(before, wanted) && !live.container.limitsInDoubt;
  const reason = holds ? undefined : await change(context, { id, live, wanted });
  const former = live.limitsRefused?.key === key ? live.limitsRefused : undefined;
  const attempts = (former?.attempts ?? 0) + 1;
  live.limits = key;
  live.limitsRefused = reason === undefined ? undefined : { key, reason: reason.slice(0, MAX_REASON), attempts };
  if (reason === undefined || live.exit !== undefined) return;
  if (former === undefined || withoutFigures(former.reason) !== withoutFigures(reason.slice(0, MAX_REASON)))
    log.warn({ allocationId: id, task: state.records.get(id)?.task, reason }, "container.limits_refused");
  clock.after(backoffMs(RETRY, attempts, clock.random()), () => {
    if (live.limits === key) live.limits = undefined;
    wake();
  });
};

/** How much is in use differs each time, and is no other reason. */
const withoutFigures = (reason: string): string => reason.replaceAll(/\d+/g, "");

/** Why not, when it is refused. */
const change = async (
  { log, state }: AgentContext,
  {
    id,
    live,
    wanted,
  }: {
    readonly id: ActionOf<"limit">["id"];
    readonly live: NonNullable<ReturnType<AgentContext["state"]["containers"]["get"]>>;
    readonly wanted: ReturnType<typeof limitsNow>;
  },
): Promise<string | undefined> => {
  try {
    const result = await live.container.update(wanted);
    if (!result.ok) return `${result.error.stage}: ${result.error.code} ${result.error.detail}`;
    const { unenforced } = result;
    log.info(
      { allocationId: id, task: state.records.get(id)?.task, limits: wanted, unenforced },
      "container.limits_changed",
    );
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
};
