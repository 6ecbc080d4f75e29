/** A stand-in for the API: a real HTTP server whose answers a test writes down. What is not written down is a 404 problem. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { problem } from "@berth/schema";

export interface FakeRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

export type Answer =
  | { readonly status?: number; readonly json: unknown; readonly etag?: number }
  | { readonly status?: number; readonly text: string }
  | ((response: ServerResponse) => void);

export type Handler = (request: FakeRequest) => Answer | undefined | Promise<Answer | undefined>;

export interface FakeApi {
  readonly url: string;
  readonly env: Readonly<Record<string, string>>;
  readonly requests: readonly FakeRequest[];
  readonly close: () => Promise<void>;
}

export const TOKEN = "token-of-tests";

export const fakeApi = async (handler: Handler): Promise<FakeApi> => {
  const requests: FakeRequest[] = [];
  const server = createServer((incoming, response) => {
    void answer(incoming, response);
  });
  const answer = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const parts: Buffer[] = [];
    for await (const part of incoming) parts.push(part as Buffer);
    const url = new URL(incoming.url ?? "/", "http://api");
    const request: FakeRequest = {
      method: incoming.method ?? "",
      path: url.pathname,
      query: url.searchParams,
      headers: incoming.headers,
      body: Buffer.concat(parts).toString("utf8"),
    };
    requests.push(request);
    const found = (await handler(request)) ?? {
      status: 404,
      json: problem("route.not_found", `no ${request.method} ${request.path}`),
    };
    if (typeof found === "function") {
      found(response);
      return;
    }
    const status = found.status ?? 200;
    if ("text" in found) {
      response.writeHead(status, { "content-type": "text/plain" }).end(found.text);
      return;
    }
    const etag = found.etag === undefined ? {} : { etag: `"${found.etag}"` };
    response.writeHead(status, { "content-type": "application/json", ...etag }).end(JSON.stringify(found.json));
  };
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    env: { BERTH_API: url, BERTH_TOKEN: TOKEN },
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};

/** The routes of a test as a table: `GET /v1/jobs` → answer, or a function of the request. */
export const routes =
  (table: Readonly<Record<string, Answer | Handler>>): Handler =>
  (request) => {
    const found = table[`${request.method} ${request.path}`];
    if (found === undefined) return undefined;
    return isHandler(found) ? found(request) : found;
  };

/** Handlers take a request, raw answers a response: a test marks raw answers with `raw`. */
const rawAnswers = new WeakSet<object>();
export const raw = (answer: (response: ServerResponse) => void): Answer => {
  rawAnswers.add(answer);
  return answer;
};
const isHandler = (found: Answer | Handler): found is Handler => typeof found === "function" && !rawAnswers.has(found);
