/**
 * A file of an allocation as a stream, read through its agent chunk by chunk. What can fail before the first byte is a
 * problem; after it, a failure breaks the stream off, so that nobody takes a part for the whole.
 */
import { setTimeout as delay } from "node:timers/promises";
import {
  err,
  isTerminal,
  ok,
  problem,
  type AllocationFile,
  type AllocationId,
  type Problem,
  type Result,
} from "@berth/schema";
import type { ClusterState } from "../core/index.ts";
import type { AgentFiles, FileChunk } from "./agent-files.ts";

export interface StreamOptions {
  readonly file: AllocationFile;
  readonly offset: number;
  /** Goes on until the container has ended and all it wrote is delivered. */
  readonly follow: boolean;
  readonly signal: AbortSignal;
}

export interface FileStream {
  /** Of the first byte: the one asked for, or a later one when a log does not go back so far any more. */
  readonly offset: number;
  readonly chunks: AsyncGenerator<Buffer>;
}

export interface FileStreams {
  readonly open: (allocation: AllocationId, options: StreamOptions) => Promise<Result<FileStream, Problem>>;
  readonly openCount: () => number;
}

const CHUNK_BYTES = 256 * 1024;
const FOLLOW_WAIT_MS = 5_000;
const RETRY_MS = 500;
/** An agent may be restarted or upgraded while somebody follows; silent for longer, it is not coming back soon. */
const PATIENCE_MS = 30_000;
const MAX_STREAMS = 128;

/** The agent may answer otherwise in a moment. */
const isPassing = ({ code }: Problem): boolean =>
  code === "agent.unreachable" || code === "host.unknown" || code === "message.stale" || code === "leader.unknown";
const isMissing = ({ code }: Problem): boolean => code === "allocation.no_logs" || code === "allocation.not_found";

const pause = (signal: AbortSignal): Promise<void> => delay(RETRY_MS, undefined, { signal }).catch(() => {});

export const createFileStreams = (state: ClusterState, files: AgentFiles): FileStreams => {
  let openCount = 0;

  /** Reads once; while following, waits for a file that does not exist yet and for an agent that is away for a moment. */
  const readOne = async (
    allocation: AllocationId,
    options: StreamOptions,
    offset: number,
  ): Promise<Result<FileChunk, Problem>> => {
    const sinceMs = performance.now();
    for (;;) {
      const answer = await files.read(allocation, {
        file: options.file,
        offset,
        maxBytes: CHUNK_BYTES,
        waitMs: options.follow ? FOLLOW_WAIT_MS : 0,
      });
      if (answer.ok || !options.follow || options.signal.aborted) return answer;
      const record = state.allocations.get(allocation);
      const mayCome = record !== undefined && !isTerminal(record.state);
      const worthIt = isMissing(answer.error)
        ? mayCome
        : isPassing(answer.error) && performance.now() - sinceMs < PATIENCE_MS;
      if (!worthIt) return answer;
      await pause(options.signal);
    }
  };

  async function* chunks(allocation: AllocationId, options: StreamOptions, first: FileChunk): AsyncGenerator<Buffer> {
    let chunk = first;
    let { offset } = first;
    // Without following, the file is delivered as long as it was at the start: a busy writer must not hold the reader.
    const until = first.size;
    try {
      for (;;) {
        const rest = options.follow ? chunk.data.length : Math.min(chunk.data.length, Math.max(0, until - offset));
        if (rest > 0) yield chunk.data.subarray(0, rest);
        offset += rest;
        if (chunk.done && chunk.data.length === rest) return;
        if (!options.follow && (offset >= until || rest === 0)) return;
        if (options.signal.aborted) return;
        const next = await readOne(allocation, options, offset);
        if (!next.ok) throw new Error(`${next.error.code}: ${next.error.detail ?? ""}`);
        chunk = next.value;
        // Rotated away under a slow reader: who takes it up again is told where it goes on.
        if (chunk.offset !== offset) throw new Error(`bytes ${offset} to ${chunk.offset} are not kept any more`);
      }
    } finally {
      openCount -= 1;
    }
  }

  return {
    openCount: () => openCount,
    open: async (allocation, options) => {
      if (openCount >= MAX_STREAMS) {
        return err(problem("request.too_many", `${MAX_STREAMS} files are being read already`, { retryAfterMs: 2_000 }));
      }
      openCount += 1;
      const first = await readOne(allocation, options, options.offset).catch((error: unknown) => {
        openCount -= 1;
        throw error;
      });
      if (!first.ok) {
        openCount -= 1;
        return first;
      }
      return ok({ offset: first.value.offset, chunks: chunks(allocation, options, first.value) });
    },
  };
};
