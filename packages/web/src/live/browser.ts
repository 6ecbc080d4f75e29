/** The feed's ports in a real browser. */
import { Routes, routePath } from "@berth/schema";
import { request } from "../api/client.ts";
import type { FeedPorts } from "./feed.ts";
import type { Live } from "./store.ts";

const watchAddress = (query: string): string => {
  const address = new URL(routePath(Routes.watch) + query, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  return address.href;
};

export const browserPorts: FeedPorts = {
  connect: (query, events) => {
    const socket = new WebSocket(watchAddress(query));
    let listening = true;
    socket.addEventListener("open", () => listening && events.onOpen());
    socket.addEventListener("message", (event) => listening && events.onFrame(event.data));
    socket.addEventListener("close", () => {
      if (!listening) return;
      listening = false;
      events.onClose();
    });
    return () => {
      listening = false;
      socket.close();
    };
  },
  probe: async () => {
    const answer = await request(`${Routes.hosts}?limit=1`, { timeoutMs: 10_000 });
    if (answer.ok) return "signed_in";
    return answer.error.status === 401 ? "signed_out" : "unreachable";
  },
  nowMs: () => Date.now(),
  random: () => Math.random(),
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

/** Comes back at once when the network does, or when somebody looks: a login link may have been opened in another tab. */
export const retryWhenLookedAt = (live: Live): void => {
  addEventListener("online", live.retry);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") live.retry();
  });
  addEventListener("focus", live.retry);
};
