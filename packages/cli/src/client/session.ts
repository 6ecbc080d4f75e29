/**
 * A session in a container over WebSocket. Standard input is sent as far as credit was given for it, and credit for output
 * is given when it was written, so that neither side piles up bytes. What is refused before the upgrade is a problem like
 * that of any other request.
 */
import { WebSocket } from "ws";
import {
  decodeJson,
  decoder,
  problem,
  ProblemSchema,
  routePath,
  Routes,
  SESSION_FRAME_BYTES,
  SESSION_REQUEST_BYTES,
  SESSION_STDERR,
  SESSION_WINDOW_BYTES,
  SessionEventSchema,
  type Problem,
  type SessionControl,
  type SessionExit,
  type SessionRequest,
} from "@berth/schema";
import { failureOf } from "../failure.ts";
import type { Sink } from "../io.ts";
import type { Connection } from "./connection.ts";
import { unreachable } from "./http.ts";

const OPEN_MS = 30_000;
/** The scheduler asks every 20 s whether somebody is there; silence for longer is an outage. */
const SILENCE_MS = 50_000;
const MAX_PROBLEM_BYTES = 64 * 1024;

const decodeEvent = decoder(SessionEventSchema);
const decodeProblem = decoder(ProblemSchema);

export interface SessionOptions {
  readonly allocation: string;
  readonly request: SessionRequest;
  readonly out: Pick<Sink, "write">;
  readonly err: Pick<Sink, "write">;
  /** Called once the program runs, with a way to talk to it. `terminal`: its output is that of a terminal. */
  readonly onOpened: (session: OpenSession, terminal: boolean) => void;
}

export interface OpenSession {
  readonly send: (control: Exclude<SessionControl, { kind: "open" | "credit" }>) => void;
  /** Resolves when there is credit for all of it and it is sent; at once when the session is over. */
  readonly input: (bytes: Uint8Array) => Promise<void>;
  /** Leaves: an executed program is ended, a task runs on. */
  readonly leave: () => void;
}

/** Resolves with how the program ended, undefined for a session that was left; rejects with a Failure. */
export const runSession = (connection: Connection, options: SessionOptions): Promise<SessionExit | undefined> =>
  new Promise((resolve, reject) => {
    const request = JSON.stringify({ kind: "open", request: options.request });
    if (Buffer.byteLength(request) > SESSION_REQUEST_BYTES) {
      const most = `${SESSION_REQUEST_BYTES / 1024} KiB`;
      throw failureOf(problem("request.invalid", `command and environment are longer than ${most}; pass data with -i`));
    }
    const url = new URL(routePath(Routes.allocationExec, { allocation: options.allocation }), connection.api);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url, {
      headers: { authorization: `Bearer ${connection.token}` },
      handshakeTimeout: OPEN_MS,
      perMessageDeflate: false,
      maxPayload: SESSION_WINDOW_BYTES,
      ...(connection.ca === undefined ? {} : { ca: connection.ca }),
    });
    let credit = SESSION_WINDOW_BYTES;
    let wake = (): void => {};
    let over = false;
    let exit: SessionExit | undefined;
    let left = false;
    let written: Promise<void> = Promise.resolve();
    let silence: NodeJS.Timeout | undefined;

    const finish = (error: Error | undefined): void => {
      if (over) return;
      over = true;
      clearTimeout(silence);
      wake();
      socket.close();
      // What was said before the end is shown before it.
      void written.then(() => {
        if (exit !== undefined || left) resolve(exit);
        else reject(error ?? failureOf(problem("cluster.unreachable", "the session was cut off")));
      });
    };
    const heard = (): void => {
      clearTimeout(silence);
      silence = setTimeout(() => {
        socket.terminate();
        finish(failureOf(problem("cluster.unreachable", "the scheduler has fallen silent")));
      }, SILENCE_MS);
    };
    const send = (control: SessionControl): void => {
      if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(control));
    };

    const session: OpenSession = {
      send,
      leave: () => {
        left = true;
        finish(undefined);
      },
      input: async (bytes) => {
        for (let at = 0; at < bytes.length;) {
          while (credit === 0 && !over) await new Promise<void>((go) => (wake = go));
          if (over) return;
          const part = bytes.subarray(at, at + Math.min(SESSION_FRAME_BYTES, credit));
          credit -= part.length;
          at += part.length;
          await new Promise<void>((sent) => socket.send(part, () => sent()));
        }
      },
    };

    const takeText = (text: string): void => {
      const event = decodeJson(decodeEvent, text, "the session's frame");
      if (!event.ok) return finish(failureOf(event.error));
      switch (event.value.kind) {
        case "opened":
          return options.onOpened(session, event.value.terminal);
        case "credit":
          credit += event.value.bytes;
          return wake();
        case "exit":
          exit = event.value.exit;
          return finish(undefined);
        case "problem":
          return finish(failureOf(event.value.problem as Problem));
      }
    };

    socket.on("open", () => {
      heard();
      socket.send(request);
    });
    socket.on("ping", heard);
    socket.on("message", (data: Buffer, isBinary) => {
      heard();
      if (over) return;
      if (!isBinary) return takeText(data.toString());
      const sink = data[0] === SESSION_STDERR ? options.err : options.out;
      const bytes = data.subarray(1);
      written = written.then(() => sink.write(bytes)).then(() => send({ kind: "credit", bytes: bytes.length }));
    });
    socket.on("unexpected-response", (_request, response) => {
      const parts: Buffer[] = [];
      let size = 0;
      response.on("data", (part: Buffer) => {
        size += part.length;
        if (size <= MAX_PROBLEM_BYTES) parts.push(part);
      });
      response.on("end", () => {
        const refused = decodeJson(decodeProblem, Buffer.concat(parts).toString(), "the answer");
        finish(failureOf(refused.ok ? (refused.value as Problem) : refused.error));
      });
    });
    socket.on("error", (error) => finish(unreachable(connection, error)));
    socket.on("close", () => finish(undefined));
  });
