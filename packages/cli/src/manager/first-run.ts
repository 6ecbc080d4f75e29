/** What `berth up` shows once it is up: a first container when there never was one, the way in, and what to try. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { formatDuration, taskName, type JobView } from "@berth/schema";
import type { Client } from "../client/client.ts";
import { getJob, listAllocations } from "../client/queries.ts";
import { loginLink } from "../commands/dashboard.ts";
import { checkedDocument, submit } from "../commands/run.ts";
import { waitForJob } from "../commands/run-wait.ts";
import { Failure } from "../failure.ts";
import { say, type Io } from "../io.ts";
import { writeWhole } from "./files.ts";

const HELLO = fileURLToPath(new URL("../../../../examples/hello.yaml", import.meta.url));
const HELLO_TIMEOUT_MS = 60_000;

const markerPath = (dataDir: string): string => join(dataDir, "greeted");

/** Runs examples/hello.yaml the first time. The mark is set only after it has worked. */
export const greet = async (io: Io, client: Client, dataDir: string): Promise<void> => {
  if (existsSync(markerPath(dataDir))) return;
  await say(io, "\nThe first container, examples/hello.yaml:");
  const job = await submitHello(io, client);
  const code = await waitForJob(io, client, job, { timeoutMs: HELLO_TIMEOUT_MS, format: undefined });
  await say(io, `exit code ${code}`);
  if (code === 0) writeWhole(markerPath(dataDir), "");
};

/** An earlier start may have been killed while it ran: then it is waited for, not run twice. */
const submitHello = async (io: Io, client: Client): Promise<JobView> => {
  const document = await checkedDocument(io, HELLO);
  try {
    return (await submit(client, document)).job;
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== "job.active") throw error;
    return (await getJob(client, { project: "default", job: "hello" })).value;
  }
};

/** What an earlier start has left running, in one line. */
export const tellFound = async (io: Io, client: Client, startedAtMs: number): Promise<void> => {
  const { items } = await listAllocations(client, {}, { bridge: true, patienceMs: 10_000 });
  const running = items.filter((one) => one.state === "running" && (one.startedAtMs ?? startedAtMs) < startedAtMs);
  if (running.length === 0) return;
  const names = running
    .toSorted((a, b) => (a.job < b.job ? -1 : a.job > b.job ? 1 : a.index - b.index))
    .slice(0, 6)
    .map((one) => taskName(one.job, one.index));
  const more = running.length > names.length ? ` and ${running.length - names.length} more` : "";
  await say(io, `\nFound running: ${names.join(", ")}${more}`);
};

export const tellWayIn = async (io: Io, client: Client): Promise<void> => {
  const link = await loginLink(client);
  await say(
    io,
    `\nDashboard (the link works once, within ${formatDuration(link.expiresInMs)}; \`${io.command} dashboard\` makes a new one):`,
  );
  await io.out.write(`  ${link.url}\n`);
  const lines = [
    "\nTry next, in another terminal:",
    `  ${io.command} hosts`,
    `  ${io.command} run examples/service.yaml`,
    `  ${io.command} ps`,
    `\nCtrl-C stops Berth; containers go on. \`${io.command} down\` stops them too.`,
  ];
  await say(io, lines.join("\n"));
};
