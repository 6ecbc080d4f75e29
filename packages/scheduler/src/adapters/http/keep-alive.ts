/** Ends a WebSocket whose other side has gone without a word. */
import type { WebSocket } from "ws";

const PING_MS = 20_000;

export const keepAlive = (socket: WebSocket): void => {
  let answered = true;
  const timer = setInterval(() => {
    if (!answered) return socket.terminate();
    answered = false;
    socket.ping();
  }, PING_MS);
  timer.unref();
  socket.on("pong", () => {
    answered = true;
  });
  socket.once("close", () => clearInterval(timer));
};
