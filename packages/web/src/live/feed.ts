/**
 * Keeps the replica fed over one WebSocket, and says how fresh it is.
 *
 *   connecting ──snapshot──► live ──closed, silent, gap──► reconnecting ──resumed or snapshot──► live
 *        └──────────────── 401 ───────► signed out ◄── 401 ────────┘        (retry() leaves it)
 *
 * It never discards what is held: while it reconnects, the last picture stays. A reconnect asks `?since=REVISION`; two
 * gaps in a row at the same revision ask for a whole snapshot instead. Waits double from 0.5 s to 15 s, half of each by
 * chance, so that a hundred browsers do not come back in the same instant. Sockets, time and chance are parameters.
 */
import { readMessage } from "./message.ts";
import type { Replica } from "./replica.ts";

export type Connection =
  | { readonly kind: "connecting" }
  | { readonly kind: "live" }
  /** `heardAtMs` is when the last message came: the age of what is on the screen. */
  | { readonly kind: "reconnecting"; readonly heardAtMs: number }
  | { readonly kind: "signed_out" };

export interface SocketEvents {
  readonly onOpen: () => void;
  readonly onFrame: (frame: unknown) => void;
  readonly onClose: () => void;
}
export interface FeedPorts {
  /** Opens `/v1/watch` with this query string; the answer closes it, after which no event comes. */
  readonly connect: (query: string, events: SocketEvents) => () => void;
  /** Why a socket could not be opened: a browser does not say whether it was a 401. */
  readonly probe: () => Promise<"signed_in" | "signed_out" | "unreachable">;
  readonly nowMs: () => number;
  readonly random: () => number;
  /** Calls back once after `delayMs`; the answer cancels it. */
  readonly after: (delayMs: number, callback: () => void) => () => void;
}

export interface Feed {
  readonly start: () => void;
  /** Tries at once instead of waiting: the network came back, the tab was looked at, the user asked. */
  readonly retry: () => void;
  readonly stop: () => void;
}

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
/** The server pings more often than this; a line that is silent for longer is dead although nobody closed it. */
export const SILENCE_MS = 45_000;
/** A connection that lasted this long was a good one: the next wait starts small again. */
const STEADY_MS = 5_000;

/** Between half and all of the doubled wait. `random` is 0 … 1. */
export const waitMs = (attempt: number, random: number): number => {
  const full = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(attempt, 10));
  return Math.round(full * (0.5 + random / 2));
};

export const createFeed = (
  ports: FeedPorts,
  replica: Replica,
  on: { readonly connection: (connection: Connection) => void; readonly change: () => void },
): Feed => {
  let state: Connection["kind"] = "connecting";
  let attempt = 0;
  let gapAt: number | undefined;
  /** Whether the next question is for what was missed, or for everything. */
  let resume = true;
  let heardAtMs = 0;
  let openedAtMs: number | undefined;
  let stopped = true;
  let closeSocket: (() => void) | undefined;
  let cancelTimer: (() => void) | undefined;
  /** Counts connections: a probe that answers for an earlier one is void. */
  let generation = 0;

  const say = (connection: Connection): void => {
    state = connection.kind;
    on.connection(connection);
  };
  const disarm = (): void => {
    cancelTimer?.();
    cancelTimer = undefined;
  };
  const arm = (delayMs: number, callback: () => void): void => {
    disarm();
    cancelTimer = ports.after(delayMs, callback);
  };
  const drop = (): void => {
    generation += 1;
    disarm();
    closeSocket?.();
    closeSocket = undefined;
    openedAtMs = undefined;
  };

  const comeBack = (): void => {
    if (openedAtMs !== undefined && ports.nowMs() - openedAtMs >= STEADY_MS) attempt = 0;
    drop();
    if (state === "live") say({ kind: "reconnecting", heardAtMs });
    arm(waitMs(attempt, ports.random()), open);
    attempt += 1;
  };

  const onFrame = (frame: unknown): void => {
    const message = readMessage(frame);
    heardAtMs = ports.nowMs();
    const verdict = message === undefined ? "gap" : replica.apply(message, heardAtMs);
    if (verdict === "gap") {
      const held = replica.revision();
      // Twice at the same place: resuming does not help, so the next question is for everything.
      gapAt = gapAt === held ? undefined : held;
      resume = gapAt !== undefined;
      comeBack();
      return;
    }
    arm(SILENCE_MS, comeBack);
    if (message?.kind === "snapshot" || message?.kind === "delta") {
      gapAt = undefined;
      resume = true;
    }
    if (verdict === "applied") on.change();
    if (state !== "live" && replica.revision() !== undefined) say({ kind: "live" });
  };
  const open = (): void => {
    drop();
    const mine = generation;
    const since = resume ? replica.revision() : undefined;
    arm(SILENCE_MS, comeBack);
    closeSocket = ports.connect(since === undefined ? "" : `?since=${since}`, {
      onOpen: () => {
        openedAtMs = ports.nowMs();
        // What was missed follows at once, and when nothing was missed nothing follows: the line itself is the news.
        if (since !== undefined && state === "reconnecting") say({ kind: "live" });
      },
      onFrame,
      onClose: () => {
        if (openedAtMs !== undefined) return comeBack();
        void ports.probe().then((answer) => {
          if (stopped || mine !== generation) return;
          if (answer !== "signed_out") return comeBack();
          drop();
          say({ kind: "signed_out" });
        });
      },
    });
  };

  return {
    start: () => {
      if (!stopped) return;
      stopped = false;
      open();
    },
    retry: () => {
      if (stopped || state === "live") return;
      attempt = 0;
      if (state === "signed_out")
        say(replica.revision() === undefined ? { kind: "connecting" } : { kind: "reconnecting", heardAtMs });
      open();
    },
    stop: () => {
      stopped = true;
      drop();
    },
  };
};
