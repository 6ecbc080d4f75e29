/** The live feed over WebSocket. One way: the server speaks, the client listens; whatever a client says ends its connection. */
import type { WebSocket } from "ws";
import { Type, problem, Routes, type Problem } from "@berth/schema";
import type { Control } from "../../../app/control.ts";
import { principalOf } from "../auth.ts";
import { keepAlive } from "../keep-alive.ts";
import { Refusal } from "../problems.ts";
import type { Server } from "../server-type.ts";
import { problems } from "../shapes.ts";

/** WebSocket close codes: try again later, policy violation, going away (RFC 6455 and its registry). */
const TRY_AGAIN = 1013;
const POLICY = 1008;
const GOING_AWAY = 1001;

const refuse = (socket: WebSocket, refused: Problem, code: number): void => {
  socket.send(JSON.stringify(refused));
  socket.close(code, refused.code);
};

export const addWatchRoute = (server: Server, { hub }: Control): void => {
  server.route({
    method: "GET",
    url: Routes.watch,
    schema: {
      summary: "The live feed (WebSocket): a snapshot, then deltas; with since, what was missed",
      querystring: Type.Object({ since: Type.Optional(Type.Integer({ minimum: 0 })) }, { additionalProperties: false }),
      response: problems,
    },
    handler: async () => {
      throw new Refusal(
        problem("request.invalid", "this address speaks WebSocket only; connect with ws:// and the same token"),
      );
    },
    wsHandler: (socket, request) => {
      socket.on("error", (error) => request.log.debug({ err: error }, "watch_socket_error"));
      const leave = hub.join(
        {
          send: (text) => socket.send(text),
          bufferedBytes: () => socket.bufferedAmount,
          close: (why) =>
            why === "slow" ? socket.close(TRY_AGAIN, "slow-consumer") : socket.close(GOING_AWAY, "stopping"),
        },
        (request.query as { since?: number }).since,
        principalOf(request).projects,
      );
      if (leave === undefined) {
        return refuse(
          socket,
          problem("request.too_many", "too many live feeds are open", { retryAfterMs: 5_000 }),
          TRY_AGAIN,
        );
      }
      keepAlive(socket);
      socket.once("close", leave);
      socket.once("message", () => {
        leave();
        refuse(socket, problem("message.invalid", "the live feed takes no messages"), POLICY);
      });
    },
  });
};
