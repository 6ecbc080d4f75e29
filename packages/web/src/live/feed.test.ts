import { describe, expect, it } from "vitest";
import type { WatchMessage } from "@berth/schema";
import { emptySnapshot, type Delta } from "../../testing/cluster.ts";
import { createFeed, SILENCE_MS, waitMs, type Connection, type SocketEvents } from "./feed.ts";
import { createReplica } from "./replica.ts";

/** A clock that only moves when told, and sockets that do nothing by themselves. */
const rig = () => {
  let nowMs = 1_000;
  let probeAnswer: "signed_in" | "signed_out" | "unreachable" = "unreachable";
  const timers = new Set<{ readonly atMs: number; readonly callback: () => void }>();
  const sockets: { readonly query: string; readonly events: SocketEvents; closed: boolean }[] = [];
  const said: Connection[] = [];
  let changes = 0;
  const replica = createReplica();
  const feed = createFeed(
    {
      connect: (query, events) => {
        const socket = { query, events, closed: false };
        sockets.push(socket);
        return () => {
          socket.closed = true;
        };
      },
      probe: () => Promise.resolve(probeAnswer),
      nowMs: () => nowMs,
      random: () => 1,
      after: (delayMs, callback) => {
        const timer = { atMs: nowMs + delayMs, callback };
        timers.add(timer);
        return () => timers.delete(timer);
      },
    },
    replica,
    { connection: (connection) => said.push(connection), change: () => (changes += 1) },
  );
  const advance = (ms: number): void => {
    nowMs += ms;
    for (const timer of timers) {
      if (timer.atMs > nowMs) continue;
      timers.delete(timer);
      timer.callback();
    }
  };
  const last = () => {
    const socket = sockets.at(-1);
    if (socket === undefined) throw new Error("no socket was opened");
    return socket;
  };
  const send = (message: WatchMessage): void => last().events.onFrame(JSON.stringify(message));
  const open = (): void => last().events.onOpen();
  const close = async (): Promise<void> => {
    last().events.onClose();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return {
    feed,
    replica,
    sockets,
    said,
    timers,
    advance,
    last,
    send,
    open,
    close,
    changes: () => changes,
    probe: (answer: typeof probeAnswer) => (probeAnswer = answer),
    state: () => said.at(-1)?.kind,
  };
};

const snapshot = { ...emptySnapshot(), revision: 10 };
const delta = (previous: number, revision: number): Delta => ({
  kind: "delta",
  previous,
  revision,
  hosts: [],
  jobs: [],
  allocations: [],
  removed: { hosts: [], jobs: [], allocations: [] },
});

const live = () => {
  const it = rig();
  it.feed.start();
  it.open();
  it.send(snapshot);
  return it;
};

describe("the feed", () => {
  it("asks for everything first and is live with the snapshot", () => {
    const it = rig();
    it.feed.start();
    expect(it.last().query).toBe("");
    it.open();
    expect(it.state()).toBeUndefined();
    it.send(snapshot);
    expect(it.state()).toBe("live");
    expect(it.changes()).toBe(1);
  });

  it("keeps what it holds when the line breaks, and resumes from its revision", async () => {
    const it = live();
    it.send(delta(10, 11));
    await it.close();
    expect(it.said.at(-1)).toEqual({ kind: "reconnecting", heardAtMs: 1_000 });
    expect(it.replica.publish()?.revision).toBe(11);
    it.advance(500);
    expect(it.last().query).toBe("?since=11");
    it.open();
    expect(it.state()).toBe("live");
  });

  it("answers a gap with a question for what was missed, and a second one with a question for everything", () => {
    const it = live();
    it.send(delta(12, 13));
    expect(it.sockets[0]?.closed).toBe(true);
    it.advance(500);
    expect(it.last().query).toBe("?since=10");
    it.open();
    it.send(delta(12, 13));
    it.advance(1_000);
    expect(it.last().query).toBe("");
    it.open();
    it.send({ ...snapshot, revision: 13 });
    expect(it.state()).toBe("live");
    expect(it.replica.revision()).toBe(13);
  });

  it("goes back to resuming after a gap was closed", async () => {
    const it = live();
    it.send(delta(12, 13));
    it.advance(500);
    it.open();
    it.send(delta(10, 13));
    await it.close();
    it.advance(60_000);
    expect(it.last().query).toBe("?since=13");
  });

  it("treats a frame that is no message like a gap", () => {
    const it = live();
    it.last().events.onFrame("<html>proxy error</html>");
    expect(it.state()).toBe("reconnecting");
  });

  it("ignores a kind of message that it does not know", () => {
    const it = live();
    it.last().events.onFrame(JSON.stringify({ kind: "weather", sun: true }));
    expect(it.state()).toBe("live");
    expect(it.sockets).toHaveLength(1);
  });

  it("gives up a line that is silent, and not one that pings", () => {
    const it = live();
    it.advance(SILENCE_MS - 1);
    it.send({ kind: "ping" });
    it.advance(SILENCE_MS - 1);
    expect(it.state()).toBe("live");
    it.advance(1);
    expect(it.state()).toBe("reconnecting");
    expect(it.sockets[0]?.closed).toBe(true);
  });

  it("waits longer after each failure, and starts small again after a good connection", async () => {
    const it = rig();
    it.feed.start();
    for (const wait of [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]) {
      const before = it.sockets.length;
      await it.close();
      it.advance(wait - 1);
      expect(it.sockets).toHaveLength(before);
      it.advance(1);
      expect(it.sockets).toHaveLength(before + 1);
    }
    it.open();
    it.send(snapshot);
    it.advance(10_000);
    await it.close();
    it.advance(500);
    expect(it.last().query).toBe("?since=10");
  });

  it("does not hammer a server that accepts and drops", async () => {
    const it = live();
    for (const wait of [500, 1_000, 2_000]) {
      const before = it.sockets.length;
      await it.close();
      it.advance(wait - 1);
      expect(it.sockets).toHaveLength(before);
      it.advance(1);
      it.open();
    }
  });

  it("says signed out instead of trying for ever, and comes back when asked to", async () => {
    const it = rig();
    it.feed.start();
    it.probe("signed_out");
    await it.close();
    expect(it.state()).toBe("signed_out");
    expect(it.timers.size).toBe(0);
    it.feed.retry();
    expect(it.state()).toBe("connecting");
    it.open();
    it.send(snapshot);
    expect(it.state()).toBe("live");
  });

  it("tries at once when told that it may work now, and leaves a live line alone", async () => {
    const it = live();
    it.feed.retry();
    expect(it.sockets).toHaveLength(1);
    await it.close();
    it.feed.retry();
    expect(it.sockets).toHaveLength(2);
  });

  it("ends with everything closed", async () => {
    const it = live();
    it.feed.stop();
    expect(it.last().closed).toBe(true);
    expect(it.timers.size).toBe(0);
    it.feed.retry();
    expect(it.sockets).toHaveLength(1);
  });
});

describe("a wait", () => {
  it("lies between half and all of the doubled time", () => {
    expect([waitMs(0, 0), waitMs(0, 1), waitMs(3, 0), waitMs(3, 1), waitMs(1_000, 1)]).toEqual([
      250, 500, 2_000, 4_000, 15_000,
    ]);
  });
});
