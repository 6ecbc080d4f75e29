/**
 * Knowing what is wanted. Greets the scheduler once per session, asks again every 30 s, after every reconnection and
 * after a gap, and takes a desired document from wherever it comes if it is signed, for this host, and newer:
 *
 *   line up ─► hello ─► welcome ─► sync, sync, … ─► (unknown to the scheduler) ─► hello
 *
 * A document is on disk before it is acted on, so that a restarted agent never knows less than its containers.
 */
import {
  decodeJson,
  decoder,
  DesiredDocumentSchema,
  err,
  ok,
  type Capacity,
  type DesiredDocument,
  type Inventory,
  type Problem,
  type Result,
  type Signed,
} from "@berth/schema";
import { acceptDesired, compareVersions, type Version } from "../core/accept.ts";
import { backoffMs } from "../core/backoff.ts";
import { errorFields } from "../ports/log.ts";
import type { AgentContext } from "./context.ts";

const SYNC_MS = 30_000;
const RETRY = { firstMs: 500, longestMs: 10_000 };

const decodeDocument = decoder(DesiredDocumentSchema);

export interface SessionOptions {
  readonly getContext: () => AgentContext;
  /** Slow to find out: awaited by the first hello only. */
  readonly inventory: Promise<Inventory>;
  readonly capacity: Capacity;
  /** The scheduler has answered to a hello; `heartbeatMs` as it wishes. */
  readonly onWelcome: (heartbeatMs: number) => void;
}

export interface Session {
  /** The line was made or lost. */
  readonly lineChanged: (up: boolean) => void;
  /** A document was announced. */
  readonly announced: (signed: Signed, afterGap: boolean) => void;
  /** The scheduler has forgotten us: greet it again. */
  readonly greetAgain: () => void;
  /** A newer document is known to exist. */
  readonly askNow: () => void;
  readonly close: () => void;
}

interface Offer {
  readonly signed: Signed;
  readonly document: DesiredDocument;
}

/** `taken`: it is what is acted on now, or a newer one is; `unsaved`: it would be, but is not on disk. */
type Outcome =
  | { readonly kind: "taken" | "unsaved" }
  | { readonly kind: "stale"; readonly offered: Version }
  | { readonly kind: "refused" };

export const createSession = ({ getContext, inventory, capacity, onWelcome }: SessionOptions): Session => {
  let asking = false;
  let askAgain = false;
  let attempts = 0;
  let closed = false;
  let cancelTimer: () => void = () => undefined;
  /** At most one document waits while another is written: the newest. */
  let waiting: Offer | undefined;
  let saving: Promise<void> | undefined;

  const schedule = (delayMs: number): void => {
    cancelTimer();
    if (!closed) cancelTimer = getContext().clock.after(delayMs, ask);
  };

  const ask = (): void => {
    const { clock, line, log } = getContext();
    if (closed || !line.isUp()) return;
    if (asking) {
      askAgain = true;
      return;
    }
    asking = true;
    exchange()
      .catch((error: unknown) => {
        log.error({ error: errorFields(error) }, "session.failed");
        return false;
      })
      .then((worked) => {
        asking = false;
        attempts = worked ? 0 : attempts + 1;
        if (worked && askAgain) schedule(0);
        else schedule(worked ? SYNC_MS * (0.9 + clock.random() / 5) : backoffMs(RETRY, attempts, clock.random()));
        askAgain = false;
      })
      .catch(() => undefined);
  };

  /** One question and its answer; false when it has to be asked again soon. */
  const exchange = (): Promise<boolean> => (getContext().state.greeted ? sync() : greet());

  const greet = async (): Promise<boolean> => {
    const context = getContext();
    const { line, log, sealed, settings, state } = context;
    const slowFacts = await inventory;
    const before = state.version;
    const answer = await line.hello({
      version: 1,
      session: settings.session,
      bootId: settings.bootId,
      inventory: slowFacts,
      capacity,
      sealingKey: sealed.sealingKey,
      epoch: state.version.epoch,
      rev: state.version.rev,
    });
    if (!answer.ok) return refused(context, "hello", answer.error);
    const outcome = await offer(answer.value.desired);
    // A newer document may have overtaken the answer. Older than what we had when we asked: this scheduler has lost
    // something, and what it wants is not to be acted on.
    const overtaken =
      outcome.kind === "stale" && compareVersions(outcome.offered, before) >= 0 && outcome.offered.epoch >= state.fence;
    const known = outcome.kind === "taken" || overtaken;
    if (known || outcome.kind === "unsaved") {
      // What it wanted before does not hold any more, even where what it wants now cannot be written down.
      state.answered = true;
      state.cutOff = false;
    }
    if (!known) return false;
    state.confirmed = true;
    state.greeted = true;
    log.info({ epoch: state.version.epoch, rev: state.version.rev }, "session.welcome");
    onWelcome(answer.value.heartbeatMs);
    context.wake();
    return true;
  };

  const sync = async (): Promise<boolean> => {
    const context = getContext();
    const { line, settings, state } = context;
    const answer = await line.sync({ session: settings.session, epoch: state.version.epoch, rev: state.version.rev });
    if (!answer.ok) return refused(context, "sync", answer.error);
    if (answer.value.desired !== null) await offer(answer.value.desired);
    return true;
  };

  const refused = ({ log, state }: AgentContext, what: string, problem: Problem): boolean => {
    if (problem.code === "host.unknown") state.greeted = false;
    log.warn({ code: problem.code, detail: problem.detail }, `session.${what}_refused`);
    return false;
  };

  const offer = async (signed: Signed): Promise<Outcome> => {
    const { state } = getContext();
    const read = readDesired(getContext(), signed);
    if (!read.ok) return read.error;
    const document = read.value;
    if (waiting === undefined || compareVersions(waiting.document, document) < 0) waiting = { signed, document };
    saving ??= saveWaiting().finally(() => {
      saving = undefined;
    });
    await saving;
    // Of one that was damaged on disk the version is known all the same.
    return {
      kind: state.document !== undefined && compareVersions(state.version, document) >= 0 ? "taken" : "unsaved",
    };
  };

  const saveWaiting = async (): Promise<void> => {
    const context = getContext();
    const { journal, log, state } = context;
    while (waiting !== undefined) {
      const { document, signed } = waiting;
      waiting = undefined;
      const order = compareVersions(document, state.version);
      if (order < 0 || (order === 0 && state.document !== undefined)) continue;
      const version = { epoch: document.epoch, rev: document.rev };
      try {
        await journal.saveDesired(signed, version);
      } catch (error) {
        // Not remembered, so not acted on; it comes again with the next sync.
        log.error({ ...version, error: errorFields(error) }, "desired.not_saved");
        schedule(RETRY.longestMs);
        continue;
      }
      state.document = document;
      state.version = version;
      state.fence = Math.max(state.fence, version.epoch);
      log.info({ ...version, allocations: document.allocations.length }, "desired.taken");
      context.wake();
    }
  };

  return {
    lineChanged: (up) => {
      attempts = 0;
      if (up) ask();
      else cancelTimer();
    },
    announced: (signed, afterGap) => {
      const { log } = getContext();
      offer(signed).catch((error: unknown) => log.error({ error: errorFields(error) }, "desired.failed"));
      if (afterGap) {
        log.debug({}, "desired.gap");
        ask();
      }
    },
    greetAgain: () => {
      getContext().state.greeted = false;
      schedule(backoffMs(RETRY, 1, getContext().clock.random()));
    },
    askNow: ask,
    close: () => {
      closed = true;
      cancelTimer();
    },
  };
};

/** The document inside, if it may be believed and is newer; logs whatever is wrong with it. */
const readDesired = (
  { log, settings, state, verifier }: AgentContext,
  signed: Signed,
): Result<DesiredDocument, Outcome> => {
  const refuse = (fields: object, event: string): Result<never, Outcome> => {
    log.error({ ...fields }, event);
    return err({ kind: "refused" });
  };
  const payload = verifier.verify(signed);
  if (payload === undefined) return refuse({}, "desired.forged");
  const decoded = decodeJson(decodeDocument, payload, "the desired document");
  if (!decoded.ok) return refuse({ problem: decoded.error }, "desired.malformed");
  const accepted = acceptDesired(settings.host, state.version, state.fence, decoded.value);
  if (accepted.ok) return accepted;
  const refusal = accepted.error;
  switch (refusal.kind) {
    case "current":
      // A document that was damaged on disk is taken again.
      return state.document === undefined ? ok(decoded.value) : err({ kind: "taken" });
    case "stale":
      log.warn({ refusal }, "desired.stale");
      return err({ kind: "stale", offered: refusal.offered });
    case "other_host":
    case "inconsistent":
      return refuse({ refusal }, `desired.${refusal.kind}`);
  }
};
