/**
 * Keeps the stored desired documents in step with the state. Derived data: only the newest document of a host matters,
 * so what changes faster than it can be written is written once. A put that fails is repeated; a document that is behind
 * when this instance begins to lead (its predecessor died between append and put) is put again.
 */
import { decodeJson, decoder, DesiredDocumentSchema, type HostId, type Signed } from "@berth/schema";
import type { Logger } from "pino";
import { desiredFor, type ClusterState } from "../core/index.ts";
import type { Clock } from "../ports/clock.ts";
import { DocumentTooLarge, type DesiredStore } from "../ports/bus.ts";
import type { Signer } from "../ports/signer.ts";
import type { Vault } from "../ports/vault.ts";
import { createGate } from "./gate.ts";
import { pause } from "./pause.ts";
import { createSealer } from "./secrets.ts";

export interface Documents {
  readonly changed: (hosts: Iterable<HostId>) => void;
  /** Compares every stored document with the state. */
  readonly reconcile: () => Promise<void>;
  /** The document of a host, signed now. */
  readonly signed: (host: HostId) => Signed;
  /** How many wait to be written. */
  readonly pending: () => number;
  /** Whether none that wait could be written for FAILING_MS. */
  readonly isFailing: () => boolean;
  /** What health says of them. */
  readonly check: () => { readonly ok: boolean; readonly detail: string };
  /** Hosts whose document does not fit into a message: they get nothing new until some of it has ended. */
  readonly tooLarge: () => readonly HostId[];
  /** Writes while `mayWrite` says so, until `signal` aborts. */
  readonly run: (signal: AbortSignal) => Promise<void>;
}

const AT_A_TIME = 16;
const RETRY_MS = 500;
/** After so long another server is tried, and again each time thrice as long has passed. */
const FAILING_MS = 10_000;
/** More never wait for long. */
const MANY = 1_000;
const decode = decoder(DesiredDocumentSchema);

export const createDocuments = (options: {
  readonly state: ClusterState;
  readonly store: DesiredStore;
  readonly signer: Signer;
  readonly vault: Vault;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly mayWrite: () => boolean;
  readonly failed: () => void;
}): Documents => {
  const { state, store, signer, vault, clock, logger, mayWrite } = options;
  const dirty = new Set<HostId>();
  const tooLarge = new Set<HostId>();
  const work = createGate();
  const seal = createSealer(vault, (host, secret, err) => logger.error({ host, secret, err }, "secret_left_out"));
  const signed = (host: HostId): Signed => signer.sign({ ...desiredFor(state, host), ...seal(state, host) });

  const put = async (host: HostId): Promise<boolean> => {
    dirty.delete(host);
    tooLarge.delete(host);
    if (!state.hosts.has(host)) return true;
    try {
      await store.put(host, signed(host));
      return true;
    } catch (error) {
      options.failed();
      if (error instanceof DocumentTooLarge) {
        // Written again when it changes: what ends there makes it smaller.
        tooLarge.add(host);
        logger.error({ host, reason: error.message }, "document_too_large");
        return true;
      }
      dirty.add(host);
      logger.warn({ err: error, host }, "document_put_failed");
      return false;
    }
  };

  let failing: { readonly sinceMs: number; redialAtMs: number } | undefined;
  const noteWritten = (isAny: boolean): void => {
    const nowMs = clock.monotonicMs();
    if (isAny) {
      failing = undefined;
      return;
    }
    failing ??= { sinceMs: nowMs, redialAtMs: nowMs + FAILING_MS };
    if (nowMs < failing.redialAtMs) return;
    failing.redialAtMs = nowMs + 3 * FAILING_MS;
    store.redial();
  };

  const isFailing = (): boolean => failing !== undefined && clock.monotonicMs() - failing.sinceMs >= FAILING_MS;

  const isBehind = async (host: HostId): Promise<boolean> => {
    const stored = await store.get(host);
    const decoded = stored === undefined ? undefined : decodeJson(decode, stored.payload, "the document");
    if (decoded?.ok !== true) return true;
    const wanted = desiredFor(state, host);
    return decoded.value.rev !== wanted.rev || decoded.value.epoch > wanted.epoch;
  };

  const changed = (hosts: Iterable<HostId>): void => {
    for (const host of hosts) dirty.add(host);
    if (dirty.size > 0) work.open();
  };

  return {
    changed,
    signed,
    pending: () => dirty.size,
    isFailing,
    check: () => {
      const waiting = `${dirty.size} wait to be written${isFailing() ? ", none could be for a while" : ""}`;
      return {
        ok: dirty.size < MANY && tooLarge.size === 0 && !isFailing(),
        detail: tooLarge.size > 0 ? `too large for the bus: ${[...tooLarge].join(", ")}` : waiting,
      };
    },
    tooLarge: () => [...tooLarge],
    reconcile: async () => {
      const hosts = [...state.hosts.keys()];
      for (let at = 0; at < hosts.length; at += AT_A_TIME) {
        await Promise.all(
          hosts.slice(at, at + AT_A_TIME).map(async (host) => {
            // Not knowing is a reason to write: a put too many does no harm.
            if (await isBehind(host).catch(() => true)) changed([host]);
          }),
        );
      }
    },
    run: async (signal) => {
      signal.addEventListener("abort", work.open, { once: true });
      while (!signal.aborted) {
        await work.passed();
        while (dirty.size > 0 && mayWrite() && !signal.aborted) {
          const outcomes = await Promise.all([...dirty].slice(0, AT_A_TIME).map(put));
          noteWritten(outcomes.includes(true));
          if (outcomes.includes(false)) await pause(clock, RETRY_MS, signal);
        }
        failing = undefined;
      }
    },
  };
};
