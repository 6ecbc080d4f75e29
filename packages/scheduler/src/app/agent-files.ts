/** Reads files of allocations through their agents, by signed requests that are bound to the agent's session and our epoch. */
import {
  ChangeListSchema,
  ChunkSchema,
  decoder,
  err,
  ok,
  OutputListSchema,
  problem,
  type AllocationFile,
  type AllocationId,
  type ChangeList,
  type Chunk,
  type OutputList,
  type Problem,
  type Result,
  type Rpc,
} from "@berth/schema";
import type { ClusterState } from "../core/index.ts";
import type { AskAgent } from "./agent-rpc.ts";

export interface ReadOptions {
  readonly file: AllocationFile;
  readonly offset: number;
  readonly maxBytes: number;
  readonly waitMs: number;
}

export interface FileChunk {
  /** Of the first byte: the one asked for, or a later one when a log does not go back so far any more. */
  readonly offset: number;
  readonly data: Buffer;
  readonly size: number;
  readonly done: boolean;
}

export interface AgentFiles {
  readonly read: (allocation: AllocationId, options: ReadOptions) => Promise<Result<FileChunk, Problem>>;
  readonly listOutputs: (allocation: AllocationId, offset: number) => Promise<Result<OutputList, Problem>>;
  /** Resolves when every process of it stands still, or goes on. */
  readonly setPaused: (allocation: AllocationId, kind: "pause" | "resume") => Promise<Result<undefined, Problem>>;
  /** A page of what the container has changed of its image. */
  readonly listChanges: (allocation: AllocationId, after: string | null) => Promise<Result<ChangeList, Problem>>;
}

const decodeChunk = decoder(ChunkSchema);
const decodeChanges = decoder(ChangeListSchema);
/** A walk over many files. */
const WALK_MS = 20_000;
/** A process in the middle of slow input or output stands still when that is over. */
const FREEZE_MS = 10_000;
const decodeList = decoder(OutputListSchema);

export const createAgentFiles = (state: ClusterState, askAgent: AskAgent): AgentFiles => {
  const ask = async (allocation: AllocationId, op: Rpc["op"], waitMs: number): Promise<Result<unknown, Problem>> => {
    const record = state.allocations.get(allocation);
    if (record === undefined) return err(problem("allocation.not_found", `there is no allocation ${allocation}`));
    return askAgent(record.hostId, op, waitMs);
  };

  const garbled = (allocation: AllocationId): Result<never, Problem> =>
    err(problem("agent.unreachable", `the agent's answer about ${allocation} cannot be read`));

  return {
    read: async (allocation, { file, offset, maxBytes, waitMs }) => {
      const answer = await ask(allocation, { kind: "read", allocation, file, offset, maxBytes, waitMs }, waitMs);
      if (!answer.ok) return answer;
      const decoded = decodeChunk(answer.value);
      if (!decoded.ok) return garbled(allocation);
      const chunk: Chunk = decoded.value;
      const data = Buffer.from(chunk.data, "base64");
      const fits = file.kind === "output" ? chunk.offset === offset : chunk.offset >= offset;
      if (!fits || data.length > maxBytes) return garbled(allocation);
      return ok({ offset: chunk.offset, data, size: chunk.size, done: chunk.done });
    },
    listOutputs: async (allocation, offset) => {
      const answer = await ask(allocation, { kind: "list_outputs", allocation, offset }, 0);
      if (!answer.ok) return answer;
      const decoded = decodeList(answer.value);
      return decoded.ok ? decoded : garbled(allocation);
    },
    setPaused: async (allocation, kind) => {
      const answer = await ask(allocation, { kind, allocation }, FREEZE_MS);
      return answer.ok ? ok(undefined) : answer;
    },
    listChanges: async (allocation, after) => {
      const answer = await ask(allocation, { kind: "changes", allocation, after }, WALK_MS);
      if (!answer.ok) return answer;
      const decoded = decodeChanges(answer.value);
      return decoded.ok ? decoded : garbled(allocation);
    },
  };
};
