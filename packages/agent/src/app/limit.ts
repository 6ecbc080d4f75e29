/**
 * Gives a container that runs the limits that its job has now. What the host cannot do (memory below what is in use) is
 * told in the heartbeat, and tried again now and then: the former limits hold until then.
 */
import { isDeepStrictEqual } from "node:util";
import { limitsNow } from "../core/container-spec.ts";
import { limitsKey } from "../core/diff.ts";
import type { AgentContext } from "./context.ts";
import { messageOf, type ActionOf } from "./record-changes.ts";

const AGAIN_MS = 10_000;
const MAX_REASON = 300;

export const limit = async (context: AgentContext, { id, spec }: ActionOf<"limit">): Promise<void> => {
  const { clock, log, state, wake } = context;
  const live = state.containers.get(id);
  if (live === undefined || live.exit !== undefined) return;
  const key = limitsKey(spec);
  const before = live.container.limits;
  const wanted = limitsNow(spec, before);
  const refused = isDeepStrictEqual(before, wanted) ? undefined : await change(context, { id, live, wanted });
  live.limits = key;
  live.limitsRefused = refused?.slice(0, MAX_REASON);
  if (refused === undefined || live.exit !== undefined) return;
  log.warn({ allocationId: id, task: state.records.get(id)?.task, reason: refused }, "container.limits_refused");
  clock.after(AGAIN_MS, () => {
    if (live.limits === key) live.limits = undefined;
    wake();
  });
};

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
