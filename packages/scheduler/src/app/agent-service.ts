/** Answers agents: hello, report, sync, lease. Who asks is the subject's host; a report counts only in the session that said hello. */
import {
  decodeJson,
  decoder,
  err,
  HeldSchema,
  HelloSchema,
  LEADER_TERM_MS,
  LeaseRequestSchema,
  ok,
  problem,
  ReportSchema,
  SyncSchema,
  FindImageSchema,
  BlobRequestSchema,
  type FoundImage,
  type HeldKnown,
  type HostId,
  type Leased,
  type Problem,
  type Reply,
  type Reported,
  type Result,
  type Synced,
  type Welcome,
} from "@berth/schema";
import { decideHello, decideLease, decideReports, desiredFor } from "../core/index.ts";
import type { AgentRequest } from "../ports/bus.ts";
import type { Documents } from "./documents.ts";
import type { Signer } from "../ports/signer.ts";
import type { Engine } from "./engine.ts";
import type { HeldImages } from "./held-images.ts";
import type { ImageSources } from "./image-sources.ts";

const decodeHello = decoder(HelloSchema);
const decodeReport = decoder(ReportSchema);
const decodeSync = decoder(SyncSchema);
const decodeFind = decoder(FindImageSchema);
const decodeBlob = decoder(BlobRequestSchema);
const decodeHeld = decoder(HeldSchema);
const decodeLeaseRequest = decoder(LeaseRequestSchema);

export interface AgentServiceOptions {
  readonly engine: Engine;
  readonly documents: Documents;
  readonly sources: ImageSources;
  readonly held: Pick<HeldImages, "take" | "forget">;
  readonly heartbeatMs: number;
  readonly signer: Signer;
  /** The host has shown that it is alive. */
  readonly heard: (host: HostId) => void;
}

type Answer<T> = Promise<Result<T, Problem>>;

export const createAgentService = (
  options: AgentServiceOptions,
): ((request: AgentRequest) => Promise<Reply<unknown> | undefined>) => {
  const { engine, documents, heartbeatMs, sources } = options;
  const { state } = engine;

  const inSession = (host: HostId, session: string): Result<true, Problem> => {
    const record = state.hosts.get(host);
    if (record?.session === session) return ok(true);
    const detail =
      record?.session === undefined || record.session === null
        ? `host ${host} has not said hello`
        : `host ${host} is in another session; say hello again`;
    return err(problem("host.unknown", detail));
  };

  const hello = async (host: HostId, body: string): Answer<Welcome> => {
    const decoded = decodeJson(decodeHello, body, "the hello");
    if (!decoded.ok) return decoded;
    const done = await engine.submit({
      cause: `hello of ${host}`,
      splittable: false,
      decide: (now) => {
        const records = decideHello(now, host, decoded.value);
        return records.ok ? ok({ records: records.value, value: undefined }) : records;
      },
    });
    if (!done.ok) return done;
    options.heard(host);
    return ok({ epoch: state.epoch, heartbeatMs, desired: documents.signed(host) });
  };

  const report = async ({ body, host, isForeign }: AgentRequest): Answer<Reported> => {
    const decoded = decodeJson(decodeReport, body, "the report");
    if (!decoded.ok) return decoded;
    const done = await engine.submit({
      cause: `report of ${host}`,
      splittable: true,
      joinsAs: host,
      decide: (now) => {
        // Asked when its turn comes: the session may have changed while it waited.
        const current = inSession(host, decoded.value.session);
        return current.ok
          ? ok({ records: decideReports(now, host, decoded.value.allocations), value: undefined })
          : current;
      },
    });
    if (!done.ok) return done;
    options.heard(host);
    // What nobody knows any more is an old story; what another host has is none of its business.
    const foreign = decoded.value.allocations.find(({ id }) => (state.allocations.get(id)?.hostId ?? host) !== host);
    if (foreign !== undefined) isForeign(foreign.id);
    return ok({ rev: done.value.revision });
  };

  const sync = async (host: HostId, body: string): Answer<Synced> => {
    const decoded = decodeJson(decodeSync, body, "the sync");
    if (!decoded.ok) return decoded;
    if (engine.role() !== "leading")
      return err(problem("leader.unknown", "this scheduler does not lead now", { retryAfterMs: 1_000 }));
    const { session, epoch, rev } = decoded.value;
    const current = inSession(host, session);
    if (!current.ok) return current;
    options.heard(host);
    const wanted = desiredFor(state, host);
    const isNewer = wanted.epoch > epoch || (wanted.epoch === epoch && wanted.rev > rev);
    return ok({ desired: isNewer ? documents.signed(host) : null });
  };

  const image = async (host: HostId, body: string): Answer<FoundImage> => {
    const decoded = decodeJson(decodeFind, body, "the question for an image");
    if (!decoded.ok) return decoded;
    const current = inSession(host, decoded.value.session);
    return current.ok ? sources.find(host, decoded.value.image) : current;
  };

  /** Undefined: another host answers. */
  const blob = async (host: HostId, body: string, replyTo: string): Promise<Result<undefined, Problem>> => {
    const decoded = decodeJson(decodeBlob, body, "the request for a blob");
    if (!decoded.ok) return decoded;
    const current = inSession(host, decoded.value.session);
    if (!current.ok) return current;
    const given = await sources.give(host, decoded.value, replyTo);
    return given.ok ? ok(undefined) : given;
  };

  /** Every instance hears it; only the leader's answer counts. */
  const held = (host: HostId, body: string): Result<HeldKnown, Problem> => {
    const decoded = decodeJson(decodeHeld, body, "what a host tells of its images");
    if (!decoded.ok) return decoded;
    const current = inSession(host, decoded.value.session);
    if (current.ok) return ok({ revision: options.held.take(host, decoded.value) });
    options.held.forget(host);
    return current;
  };

  /**
   * Decided in the engine's turn, between appends: a host whose silence is being written down gets nothing until that, and
   * what follows from it, is known here. Said only while it is certain that nobody else leads.
   */
  const lease = async (host: HostId, body: string): Answer<Leased> => {
    const decoded = decodeJson(decodeLeaseRequest, body, "the question for a lease");
    if (!decoded.ok) return decoded;
    options.heard(host);
    const done = await engine.submit({
      cause: "leases",
      splittable: false,
      decide: (now) => {
        const granted = decideLease(now, host, decoded.value);
        if (!granted.ok) return granted;
        const isFresh = engine.confirmedAgoMs() < LEADER_TERM_MS / 2;
        return ok({ records: isFresh ? [] : [{ kind: "leader_confirmed" as const }], value: granted.value });
      },
    });
    if (!done.ok) return done;
    if (engine.confirmedAgoMs() > LEADER_TERM_MS)
      return err(problem("leader.unknown", "it is not certain that this scheduler still leads", { retryAfterMs: 500 }));
    return ok({ lease: options.signer.sign(done.value.value) });
  };

  return async (request) => {
    const { body, host, operation, replyTo } = request;
    // Another instance leads and answers; two answers would be one too many.
    if (engine.othersLead()) {
      if (operation === "held" && state.hosts.has(host)) held(host, body);
      return undefined;
    }
    const handlers: Readonly<Record<string, (host: HostId, body: string, replyTo: string) => Answer<unknown>>> = {
      ...{ hello, sync, lease, image, blob },
      report: () => report(request),
      held: (from, said) => Promise.resolve(held(from, said)),
    };
    const handler = Object.hasOwn(handlers, operation) ? handlers[operation] : undefined;
    if (handler === undefined) {
      return {
        ok: false,
        problem: problem(
          "message.invalid",
          `there is no operation "${operation.slice(0, 64)}"; there are ${Object.keys(handlers).join(", ")}`,
        ),
      };
    }
    if (!state.hosts.has(host)) return { ok: false, problem: problem("host.unknown", `host ${host} is not admitted`) };
    const result = await handler(host, body, replyTo);
    if (result.ok && operation === "blob") return undefined;
    return result.ok ? { ok: true, value: result.value } : { ok: false, problem: result.error };
  };
};
