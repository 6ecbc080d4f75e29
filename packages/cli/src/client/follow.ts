/**
 * The output of one allocation, both streams, byte for byte and each byte once: a broken connection is taken up again at
 * the offset that was reached. Ends when the container has ended and everything it wrote has been passed on.
 */
import { routePath, Routes } from "@berth/schema";
import { Failure } from "../failure.ts";
import type { Sink } from "../io.ts";
import { unreachable } from "./http.ts";
import type { Client } from "./client.ts";

export type StreamName = "stdout" | "stderr";

const OUTAGE_MS = 120_000;
/** A connection that breaks this often without a byte in between will not get better. */
const MAX_BREAKS = 20;

export interface FollowOptions {
  readonly allocation: string;
  readonly stream: StreamName;
  readonly follow: boolean;
  readonly sink: Pick<Sink, "write">;
  readonly signal: AbortSignal;
}

/** Resolves to the number of bytes that were passed on. */
export const copyStream = async (client: Client, options: FollowOptions): Promise<number> => {
  const path = routePath(Routes.allocationLogs, { allocation: options.allocation });
  let offset = 0;
  for (let breaks = 0; breaks <= MAX_BREAKS; breaks += 1) {
    const query = { stream: options.stream, offset, ...(options.follow ? { follow: "true" } : {}) };
    const body = await client.stream(path, {
      query,
      signal: options.signal,
      bridge: options.follow,
      patienceMs: OUTAGE_MS,
    });
    /* A log does not go back for ever: what it begins with may lie behind what was asked for. */
    const begins = Number(body.headers["berth-offset"]);
    if (Number.isSafeInteger(begins)) offset = begins;
    try {
      for await (const part of body) {
        const bytes = part as Buffer;
        await options.sink.write(bytes);
        offset += bytes.length;
        breaks = 0;
      }
      return offset;
    } catch (error) {
      if (options.signal.aborted) throw error;
      if (!options.follow || breaks === MAX_BREAKS) throw unreachable(client.connection, error as Error);
    }
  }
  return offset;
};

/** Both streams at once; an allocation that never got as far as having logs has none. */
export const copyOutput = async (
  client: Client,
  options: Omit<FollowOptions, "stream" | "sink"> & {
    readonly sinks: Partial<Record<StreamName, Pick<Sink, "write">>>;
  },
): Promise<void> => {
  const streams = (["stdout", "stderr"] as const).map(async (stream) => {
    const sink = options.sinks[stream];
    if (sink === undefined) return;
    try {
      await copyStream(client, { ...options, stream, sink });
    } catch (error) {
      if (error instanceof Failure && error.code === "allocation.no_logs" && options.follow) return;
      throw error;
    }
  });
  await Promise.all(streams);
};
