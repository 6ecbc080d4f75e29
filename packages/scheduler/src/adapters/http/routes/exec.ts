/**
 * Sessions over WebSocket. Whether there can be one is answered before the upgrade, as a problem; after it, a problem is
 * the last text frame and the close code says of which kind.
 */
import type { FastifyRequest } from "fastify";
import type { RawData, WebSocket } from "ws";
import {
  decodeJson,
  decoder,
  problem,
  Problems,
  Routes,
  SESSION_WINDOW_BYTES,
  SessionControlSchema,
  type AllocationId,
  type Problem,
} from "@berth/schema";
import type { Control } from "../../../app/control.ts";
import type { Session } from "../../../app/exec-sessions.ts";
import type { AuditHook } from "../audit.ts";
import { principalOf } from "../auth.ts";
import { keepAlive } from "../keep-alive.ts";
import { orRefuse, Refusal } from "../problems.ts";
import type { Server } from "../server-type.ts";
import { AllocationParams, problems } from "../shapes.ts";

const OPEN_MS = 10_000;
/** Of what was handed to the network and not taken: the window, and what goes with it. */
const MAX_BUFFERED_BYTES = 4 * SESSION_WINDOW_BYTES;
/** Close codes: the end, try again later, policy violation, going away, internal (RFC 6455 and its registry). */
const NORMAL = 1000;
const POLICY = 1008;
const INTERNAL = 1011;
const TRY_AGAIN = 1013;

const decodeControl = decoder(SessionControlSchema);

const closeCodeOf = ({ code, status }: Problem): number => {
  if ("retryable" in Problems[code]) return TRY_AGAIN;
  return status < 500 ? POLICY : INTERNAL;
};

const bytesOf = (data: RawData): Buffer =>
  Buffer.isBuffer(data) ? data : Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data);

const allocationOf = (request: FastifyRequest): AllocationId =>
  (request.params as { readonly allocation: AllocationId }).allocation;

export const addExecRoute = (server: Server, { api, sessions }: Control, audit: AuditHook): void => {
  server.route({
    method: "GET",
    url: Routes.allocationExec,
    schema: {
      summary: "A session in the container (WebSocket): another program, or its own output and input",
      params: AllocationParams,
      response: problems,
    },
    // The one place that decides who may open a session: the principal is known here, nothing is upgraded yet.
    preHandler: async (request) => {
      orRefuse(api.allocation(allocationOf(request)));
      const refused = sessions.check(allocationOf(request));
      if (refused !== undefined) throw new Refusal(refused);
      // Whoever does not speak WebSocket is refused by the handler.
      if (request.headers.upgrade !== undefined) await audit.made(request);
    },
    handler: async () => {
      throw new Refusal(
        problem("request.invalid", "this address speaks WebSocket only; connect with ws:// and the same token"),
      );
    },
    wsHandler: (socket: WebSocket, request) => {
      const allocation = allocationOf(request);
      let session: Session | undefined;
      let over = false;
      const end = (why: Problem | undefined): void => {
        if (over) return;
        over = true;
        clearTimeout(patience);
        session?.close();
        if (why !== undefined) socket.send(JSON.stringify({ kind: "problem", problem: why }));
        socket.close(why === undefined ? NORMAL : closeCodeOf(why), why?.code ?? "exit");
      };
      const patience = setTimeout(() => end(problem("message.invalid", "nothing was asked for")), OPEN_MS);
      keepAlive(socket);
      socket.on("error", (error) => request.log.debug({ err: error }, "exec_socket_error"));
      socket.once("close", () => {
        over = true;
        clearTimeout(patience);
        session?.close();
      });
      const client = {
        event: (event: object) => socket.send(JSON.stringify(event)),
        output: (stream: number, bytes: Uint8Array) => {
          if (socket.bufferedAmount > MAX_BUFFERED_BYTES) return socket.terminate();
          const frame = Buffer.allocUnsafe(bytes.length + 1);
          frame[0] = stream;
          frame.set(bytes, 1);
          socket.send(frame);
        },
        end,
      };
      socket.on("message", (data, isBinary) => {
        if (over) return;
        const bytes = bytesOf(data);
        if (isBinary) {
          if (session === undefined) return end(problem("message.invalid", "the first frame is `open`"));
          return session.input(bytes);
        }
        const control = decodeJson(decodeControl, bytes.toString(), "the frame");
        if (!control.ok) return end(control.error);
        if (control.value.kind !== "open") {
          if (session === undefined) return end(problem("message.invalid", "the first frame is `open`"));
          return session.control(control.value);
        }
        if (session !== undefined) return end(problem("message.invalid", "a session is opened once"));
        clearTimeout(patience);
        const { name, via } = principalOf(request);
        request.log.info({ who: name, via, allocation, kind: control.value.request.kind }, "session_opened");
        session = sessions.open(allocation, control.value.request, client);
      });
    },
  });
};
