/**
 * A stand-in for the scheduler's HTTP side: serves the built dashboard under the same content security policy and speaks
 * the feed from a made-up cluster. For tests of the dashboard and for looking at it; it keeps no state worth the name.
 */
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import {
  Routes,
  type HostId,
  type ImageOperationList,
  type OutputList,
  type Self,
  type WatchMessage,
  type Why,
} from "@berth/schema";
import { WebSocketServer, type WebSocket } from "ws";
import type { Delta, Snapshot } from "./cluster.ts";

const DIST = fileURLToPath(new URL("../dist/", import.meta.url));
export const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

export interface FakeServer {
  readonly url: string;
  /** `since` of every feed that was opened, in order; undefined for those that asked for everything. */
  readonly opened: readonly (number | undefined)[];
  /** `project/job` of every stop that was asked for. */
  readonly stops: readonly string[];
  readonly snapshot: () => Snapshot;
  /** What the next feed starts with. */
  readonly setSnapshot: (snapshot: Snapshot) => void;
  /** Sends to every open feed; a delta is also remembered for those who resume. */
  readonly push: (message: WatchMessage) => void;
  /** Cuts every feed; while `refuse`, new ones are refused too. */
  readonly cut: (refuse: boolean) => void;
  readonly setSignedIn: (signedIn: boolean) => void;
  readonly setSelf: (self: Self) => void;
  /** Adds to what a container has written so far; who follows gets it at once. */
  readonly write: (text: string) => void;
  readonly close: () => Promise<void>;
}

const sendJson = (response: ServerResponse, status: number, body: unknown): void => {
  response.writeHead(status, { "content-type": status >= 400 ? "application/problem+json" : "application/json" });
  response.end(JSON.stringify(body));
};
const sendProblem = (response: ServerResponse, status: number, code: string, title: string, detail: string): void =>
  sendJson(response, status, { type: `https://berth.invalid/problems/${code}`, title, status, code, detail });

const sendFile = async (response: ServerResponse, path: string): Promise<void> => {
  const clean = normalize(path).replace(/^(\.\.(\/|$))+/, "");
  const name = extname(clean) === "" ? "index.html" : clean;
  try {
    const body = await readFile(join(DIST, name));
    response.writeHead(200, {
      "content-type": TYPES[extname(name)] ?? "application/octet-stream",
      "content-security-policy": POLICY,
      "x-content-type-options": "nosniff",
    });
    response.end(body);
  } catch {
    sendProblem(response, 404, "route.not_found", "No such address", path);
  }
};

const why = (snapshot: Snapshot, project: string, job: string, index: number): Why => ({
  project: project as Why["project"],
  job: job as Why["job"],
  index,
  sentence: `No host can take ${job}[${index}]: memory is short on every one`,
  outcome: {
    kind: "blocked",
    hosts: snapshot.hosts.map((host) => {
      if (host.state === "lost") return { hostId: host.id, reason: "lost" };
      const requested = 65_536 * 1024 ** 2;
      const free = host.capacity.allocatable.memoryBytes - host.reserved.memoryBytes;
      return {
        hostId: host.id,
        reason: requested > host.capacity.allocatable.memoryBytes ? "too_small" : "exhausted",
        dimension: "memoryBytes",
        requested,
        free,
        short: requested - free,
      };
    }),
    unblockedBy: [{ kind: "reduce_request", dimension: "memoryBytes", to: 46 * 1024 ** 3 }, { kind: "add_host" }],
  },
});

const held = (project: string, job: string, index: number): Why => ({
  project: project as Why["project"],
  job: job as Why["job"],
  index,
  sentence: `${job}[${index}] waits for its turn: 12 of at most 12 tasks run`,
  outcome: { kind: "held", hold: { kind: "max_running", limit: 12, running: 12 } },
});

const OUTPUTS: OutputList = {
  files: Array.from({ length: 6 }, (_, at) => ({ path: `sums/part-${at}.txt`, sizeBytes: 1_480 * (at + 1) ** 3 })),
  next: null,
};

/** What somebody ordered there and runs: one layer comes, one is there. */
const ordered = (host: string | null): ImageOperationList => ({
  silent: [],
  items:
    host === null
      ? []
      : [
          {
            host: host as HostId,
            operation: {
              ...{ id: "operation-0000000001", kind: "pull", image: "oci://registry.example/web/shop:7" },
              ...{ state: "running", error: null, result: null, revision: 3 },
              layers: [
                {
                  digest: `sha256:${"a".repeat(64)}`,
                  phase: "fetching",
                  doneBytes: 31_000_000,
                  totalBytes: 90_000_000,
                },
                { digest: `sha256:${"b".repeat(64)}`, phase: "done", doneBytes: 4_096, totalBytes: 4_096 },
              ],
            },
          },
        ],
});

const ADMIN: Self = {
  ...{ name: "admin", id: null, role: "admin", projects: null, via: "session", expiresAtMs: null },
  may: [`POST ${Routes.jobStop}`],
};

export const startFakeServer = async (initial: Snapshot, port = 0): Promise<FakeServer> => {
  let snapshot = initial;
  let deltas: Delta[] = [];
  let refuse = false;
  let signedIn = true;
  let self: Self = { ...ADMIN };
  let text = "";
  const opened: (number | undefined)[] = [];
  const stops: string[] = [];
  const sockets = new Set<WebSocket>();
  const followers = new Set<ServerResponse>();

  const sendLogs = (response: ServerResponse, query: URLSearchParams): void => {
    response.writeHead(200, { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" });
    response.flushHeaders();
    if (query.get("stream") === "stderr") return void response.end();
    response.write(Buffer.from(text).subarray(Number(query.get("offset") ?? "0")));
    if (query.get("follow") !== "true") return void response.end();
    followers.add(response);
    response.on("close", () => followers.delete(response));
  };

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const address = new URL(request.url ?? "/", "http://fake");
    const path = address.pathname;
    if (!path.startsWith("/v1/")) return sendFile(response, path);
    if (!signedIn) return sendProblem(response, 401, "auth.required", "A token is required", "Ask for a login link");
    if (path === "/v1/hosts")
      return sendJson(response, 200, { items: snapshot.hosts, next: null, revision: snapshot.revision });
    if (path === Routes.imageOperations) return sendJson(response, 200, ordered(address.searchParams.get("host")));
    if (path === "/v1/access/self") return sendJson(response, 200, self);
    const stop = /^\/v1\/jobs\/([^/]+)\/([^/]+)\/stop$/.exec(path);
    if (stop !== null && request.method === "POST") {
      stops.push(`${stop[1]}/${stop[2]}`);
      return sendJson(response, 200, {});
    }
    const task = /^\/v1\/jobs\/([^/]+)\/([^/]+)\/tasks\/(\d+)\/why$/.exec(path);
    if (task !== null) {
      const [, project = "", job = "", index] = task;
      return sendJson(
        response,
        200,
        job === "train" ? why(snapshot, project, job, Number(index)) : held(project, job, Number(index)),
      );
    }
    if (/^\/v1\/allocations\/[^/]+\/logs$/.test(path)) return sendLogs(response, address.searchParams);
    if (/^\/v1\/allocations\/[^/]+\/outputs$/.test(path)) return sendJson(response, 200, OUTPUTS);
    sendProblem(response, 404, "route.not_found", "No such address", path);
  };

  const server = createServer((request, response) => void answer(request, response));
  const feed = new WebSocketServer({ noServer: true });
  server.on("upgrade", (request, socket, head) => {
    if (!signedIn || refuse) {
      socket.end(signedIn ? "HTTP/1.1 503 Service Unavailable\r\n\r\n" : "HTTP/1.1 401 Unauthorized\r\n\r\n");
      return;
    }
    feed.handleUpgrade(request, socket, head, (client) => {
      const asked = new URL(request.url ?? "/", "http://fake").searchParams.get("since");
      const since = asked === null ? undefined : Number(asked);
      opened.push(since);
      sockets.add(client);
      client.on("close", () => sockets.delete(client));
      const at = since === snapshot.revision ? 0 : deltas.findIndex((delta) => delta.previous === since);
      const last = deltas.at(-1)?.revision ?? snapshot.revision;
      if (since !== undefined && since === last) return;
      if (since === undefined || at === -1) client.send(JSON.stringify(snapshot));
      for (const delta of deltas.slice(since === undefined ? 0 : Math.max(0, at))) client.send(JSON.stringify(delta));
    });
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    opened,
    stops,
    snapshot: () => snapshot,
    setSnapshot: (next) => {
      snapshot = next;
      deltas = [];
    },
    push: (message) => {
      if (message.kind === "delta") deltas.push(message);
      for (const client of sockets) client.send(JSON.stringify(message));
    },
    cut: (alsoRefuse) => {
      refuse = alsoRefuse;
      for (const client of sockets) client.terminate();
    },
    setSignedIn: (now) => {
      signedIn = now;
    },
    setSelf: (now) => {
      self = now;
    },
    write: (more) => {
      text += more;
      for (const follower of followers) follower.write(more);
    },
    close: async () => {
      for (const client of sockets) client.terminate();
      for (const follower of followers) follower.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
};
