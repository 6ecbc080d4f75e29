/**
 * The line to the scheduler. What comes in has the expected form already; whether it may be believed (signature, host,
 * epoch) is for the application to judge. Requests are answered with the scheduler's value, its problem, or a problem of
 * the line itself (`cluster.unreachable`, `leader.unknown`); they never reject.
 */
import type {
  BlobRequest,
  FindImage,
  FoundImage,
  Heartbeat,
  Held,
  HeldKnown,
  Hello,
  Leased,
  LeaseRequest,
  Problem,
  Reply,
  Report,
  Reported,
  Result,
  Signed,
  Sync,
  Synced,
  Welcome,
} from "@berth/schema";

export interface LineHandlers {
  /** The connection was made or lost. */
  readonly onChange: (up: boolean) => void;
  /** A desired document was announced. `afterGap`: one before it was missed. */
  readonly onDesired: (document: Signed, afterGap: boolean) => void;
  /** A request of the scheduler; the answer goes back to it, or to the host that it was made for. */
  readonly onRpc: (request: Signed) => Promise<Reply<unknown> | BlobPiece>;
}

/** Bytes of a blob, and the size of the whole blob. */
export interface BlobPiece {
  readonly bytes: Uint8Array;
  readonly size: number;
}

/** The frames of one session. Sending while the line is down loses them; the sequence shows it. */
export interface SessionLine {
  readonly send: (frame: Uint8Array) => void;
  readonly close: () => void;
}

export interface SchedulerLine {
  /** Begins to connect; goes on for ever, through every outage. To be called once. */
  readonly open: (handlers: LineHandlers) => void;
  readonly isUp: () => boolean;
  readonly hello: (hello: Hello) => Promise<Result<Welcome, Problem>>;
  readonly report: (report: Report) => Promise<Result<Reported, Problem>>;
  readonly sync: (sync: Sync) => Promise<Result<Synced, Problem>>;
  /** Which image of this name other hosts have. */
  readonly findImage: (find: FindImage) => Promise<Result<FoundImage, Problem>>;
  /** From another host, which answers for the scheduler. */
  readonly readBlob: (request: BlobRequest) => Promise<Result<BlobPiece, Problem>>;
  /** Which images are here. */
  readonly held: (held: Held) => Promise<Result<HeldKnown, Problem>>;
  readonly lease: (request: LeaseRequest) => Promise<Result<Leased, Problem>>;
  /** Not stored anywhere: dropped while the line is down. */
  readonly heartbeat: (heartbeat: Heartbeat) => void;
  /** Listens to a session's frames; undefined while the line is down. */
  readonly openSession: (id: string, onFrame: (frame: Uint8Array) => void) => SessionLine | undefined;
  readonly close: () => Promise<void>;
}
