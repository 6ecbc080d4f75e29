/** A real scheduler with a real nats-server in a directory of its own, and a client for its API. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pino } from "pino";
import { runScheduler, type RunningScheduler, type SchedulerOptions } from "../run-scheduler.ts";
import { afterTests, tempDir } from "./temp.ts";

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look into answers of every shape
  readonly body: any;
}

export interface TestScheduler {
  readonly dataDir: string;
  readonly running: RunningScheduler;
  readonly url: string;
  readonly token: string;
  readonly natsPid: () => number;
  /** With the admin token, unless `headers` says otherwise. */
  readonly call: (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Answer>;
}

export const answerOf = async (response: Response): Promise<Answer> => {
  const text = await response.text();
  const isJson = (response.headers.get("content-type") ?? "").includes("json");
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: isJson && text !== "" ? JSON.parse(text) : undefined,
  };
};

export const clientOf =
  (url: string, token: string): TestScheduler["call"] =>
  async (method, path, body, headers = {}) =>
    answerOf(
      await fetch(url + path, {
        method,
        redirect: "manual",
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          ...headers,
        },
        ...(body === undefined
          ? {}
          : {
              body: typeof body === "string" || body instanceof Uint8Array ? (body as BodyInit) : JSON.stringify(body),
            }),
      }),
    );

export const startScheduler = async (options: Partial<SchedulerOptions> = {}): Promise<TestScheduler> => {
  const dataDir = options.dataDir ?? tempDir();
  const running = await runScheduler({
    dataDir,
    clusterName: "test",
    api: { host: "127.0.0.1", port: 0 },
    bus: { kind: "embedded", host: "127.0.0.1", port: 0 },
    heartbeatMs: 200,
    logger: pino({ level: process.env["BERTH_TEST_LOG"] ?? "silent" }),
    dashboardDir: join(dataDir, "no-dashboard"),
    ...options,
  });
  afterTests(() => running.close());
  const token = readFileSync(running.tokenFile, "utf8").trim();
  return {
    dataDir,
    running,
    url: running.url,
    token,
    natsPid: () => Number(readFileSync(join(dataDir, "scheduler/nats/server.pid"), "utf8")),
    call: clientOf(running.url, token),
  };
};

export const batch = (name: string, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  name,
  kind: "batch",
  image: "builtin://busybox",
  command: ["true"],
  resources: { cpu: { request: 0.1 }, memory: { request: "16Mi" }, pids: 16 },
  ...more,
});
