/**
 * Keeps the leases of singletons alive: asks the leader every heartbeat while the document has any, and passes on what it
 * says to the supervisors, who end what is not renewed. Nothing is kept on disk: a new life of the agent asks anew, and
 * what it finds running has its time from the life before.
 */
import { decodeJson, decoder, LeaseSchema, leaseTermsOf, type AllocationId, type JobSpec } from "@berth/schema";
import { specIn } from "../core/desired.ts";
import { acceptLease, mayRunUntil } from "../core/lease.ts";
import { errorFields } from "../ports/log.ts";
import { createBeat, type Beat } from "./beat.ts";
import type { AgentContext } from "./context.ts";
import { raiseFence } from "./fence.ts";

const decodeLease = decoder(LeaseSchema);

export interface LeasesOptions {
  readonly getContext: () => AgentContext;
  /** The leader has a newer document in mind. */
  readonly onBehind: () => void;
  readonly onUnknownSession: () => void;
}

export const createLeases = ({ getContext, onBehind, onUnknownSession }: LeasesOptions): Beat => {
  let questions = 0;
  let asking = false;
  let refused: string | undefined;

  /** A refusal is told when it begins, and when it is another one. */
  const note = (context: AgentContext, reason: string | undefined): void => {
    if (reason !== undefined && reason !== refused) context.log.warn({ reason }, "lease.refused");
    if (reason === undefined && refused !== undefined) context.log.info({}, "lease.granted_again");
    refused = reason;
  };

  const ask = async (context: AgentContext): Promise<void> => {
    const { clock, line, settings, state, verifier } = context;
    questions += 1;
    // Of one life of the agent, so that no answer fits two questions.
    const nonce = String(questions).padStart(16, "0");
    const askedAtMs = clock.boottimeMs();
    const answer = await line.lease({ session: settings.session, nonce });
    if (!answer.ok) {
      if (answer.error.code === "host.unknown") onUnknownSession();
      return note(context, answer.error.detail ?? answer.error.code);
    }
    const payload = verifier.verify(answer.value.lease);
    if (payload === undefined) return note(context, "it is not signed by the cluster key");
    const lease = decodeJson(decodeLease, payload, "the lease");
    if (!lease.ok) return note(context, lease.error.detail ?? lease.error.code);
    const question = { host: settings.host, session: settings.session, nonce, fence: state.fence };
    const accepted = acceptLease(lease.value, question, askedAtMs);
    if (!accepted.ok) return note(context, accepted.error);
    if (lease.value.epoch > state.fence) await raiseFence(context, lease.value.epoch);
    note(context, undefined);
    state.grant = accepted.value;
    if (state.version.rev < accepted.value.rev) onBehind();
    else await renew(context);
    context.wake();
  };

  const tick = (): void => {
    const context = getContext();
    if (asking || !context.state.greeted || !context.line.isUp() || !hasSingletons(context)) return;
    asking = true;
    // The document may have come since the last answer.
    renew(context)
      .then(() => ask(context))
      .catch((error: unknown) => context.log.error({ error: errorFields(error) }, "lease.failed"))
      .finally(() => {
        asking = false;
      })
      .catch(() => undefined);
  };

  return createBeat(() => getContext().clock, tick);
};

const hasSingletons = ({ state }: AgentContext): boolean =>
  Object.values(state.document?.specs ?? {}).some((spec) => leaseTermsOf(spec) !== null);

/** Tells every supervisor of a singleton until when it may run. One that comes too late has ended it, or is about to. */
const renew = async (context: AgentContext): Promise<void> => {
  const { log, state } = context;
  const { document, grant } = state;
  if (document === undefined || grant === undefined) return;
  const renewals: Promise<void>[] = [];
  for (const allocation of document.allocations) {
    const { desired, id } = allocation;
    const live = state.containers.get(id);
    const spec = specIn(document, allocation);
    if (live === undefined || live.exit !== undefined || spec === undefined || desired !== "run") continue;
    const untilMs = mayRunUntil(spec, state.version.rev, grant);
    if (untilMs === undefined || !Number.isFinite(untilMs)) continue;
    renewals.push(
      live.container.renew(untilMs).catch((error: unknown) => {
        log.warn({ allocationId: id, error: errorFields(error) }, "lease.not_renewed");
      }),
    );
  }
  await Promise.all(renewals);
};

/** What a container that is started now needs; `waits`: there is no lease for it any more. */
export const leaseForStart = (
  { log, state }: AgentContext,
  id: AllocationId,
  spec: JobSpec,
): { readonly untilMs: number; readonly graceMs: number } | "none" | "waits" => {
  const terms = leaseTermsOf(spec);
  if (terms === null) return "none";
  const untilMs = mayRunUntil(spec, state.version.rev, state.grant);
  if (untilMs === undefined) {
    log.info({ allocationId: id }, "lease.awaited");
    return "waits";
  }
  return { untilMs, graceMs: terms.graceMs };
};
