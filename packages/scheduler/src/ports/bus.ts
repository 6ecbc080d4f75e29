/** What the application needs from the bus besides the log. Everything on it is a hint that may be lost, unless it is a request. */
import type { HostId, Problem, Reply, Result, Signed } from "@berth/schema";

/** The connection itself. Publishing while it is down loses data silently, so everyone asks first. */
export interface Line {
  readonly isUp: () => boolean;
  /** Called at every change; returns how to stop listening. */
  readonly onChange: (listener: (up: boolean) => void) => () => void;
  /** Resolves when the server has answered, so that everything published before has passed; rejects after `timeoutMs`. */
  readonly roundTrip: (timeoutMs: number) => Promise<void>;
}

/** The store of desired documents: one signed document per host, which its agent is told about at every put. */
export interface DesiredStore {
  /** Rejects when it is not stored; with `DocumentTooLarge` when trying again is of no use. */
  readonly put: (host: HostId, document: Signed) => Promise<void>;
  /** What is stored, or undefined when there is nothing (readable) there. */
  readonly get: (host: HostId) => Promise<Signed | undefined>;
  /** Its own, which may lead to another server than the log's. */
  readonly line: Pick<Line, "isUp" | "onChange">;
  /** Connects anew, to another server where there is one: this one answers, and stores nothing. */
  readonly redial: () => void;
}

/** The bus does not carry a message of this size. */
export class DocumentTooLarge extends Error {
  override readonly name = "DocumentTooLarge";
}

export interface AgentRequest {
  /** Who asks: taken from the subject, which the server has checked. */
  readonly host: HostId;
  readonly operation: string;
  readonly body: string;
  /** The sender's inbox for this answer. */
  readonly replyTo: string;
  /** It speaks of what another host has, and that part of it is not listened to: somebody should know. */
  readonly isForeign: (about: string) => void;
}

/** The frames of one session with an agent. */
export interface SessionCarrier {
  readonly send: (frame: Uint8Array) => void;
  readonly close: () => void;
}

export interface AgentLine {
  /** Heartbeats as text, with the host of their subject. */
  readonly onHeartbeat: (handler: (host: HostId, body: string) => void) => void;
  /** Requests of agents. The handler's answer goes to the sender's own inbox; undefined means silence. */
  readonly onRequest: (handler: (request: AgentRequest) => Promise<Reply<unknown> | undefined>) => void;
  /** Asks an agent; `agent.unreachable` when nobody answers in time. The answer's value is not decoded yet. */
  readonly ask: (host: HostId, request: Signed, timeoutMs: number) => Promise<Result<unknown, Problem>>;
  /** Listens to what this host, and no other, sends for a session. */
  readonly openSession: (host: HostId, id: string, onFrame: (frame: Uint8Array) => void) => SessionCarrier;
  /** Has an agent answer somebody else: whose request has this reply address. Whether it does is never known here. */
  readonly introduce: (host: HostId, request: Signed, replyTo: string) => void;
}

/** What scheduler instances tell each other about who leads. */
export interface LeaderLine {
  readonly announce: (announcement: Announcement) => void;
  readonly onAnnouncement: (handler: (announcement: Announcement) => void) => void;
}

/** How followers pass on what users ask of them. */
export interface PeerLine {
  /** Answers requests of other instances; undefined means silence. */
  readonly serve: (handler: (request: unknown) => Promise<Reply<unknown> | undefined>) => void;
  /** The leader's answer, or undefined when none came in time: the request may or may not have been done. */
  readonly ask: (request: unknown, timeoutMs: number) => Promise<Reply<unknown> | undefined>;
}

export interface Announcement {
  readonly instance: string;
  readonly epoch: number;
  /** It stops leading now. */
  readonly leaving?: boolean;
}
