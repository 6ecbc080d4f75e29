/** The files of allocations: directories for outputs while they run, logs and collected outputs after their end. */
import type { AllocationId, ChangeList, OutputList, Result } from "@berth/schema";

export type LogKind = "stdout" | "stderr";

export interface FilePiece {
  /** Of the first byte of `data`. */
  readonly offset: number;
  readonly data: Uint8Array;
}

/** An open file that can be read in pieces; the caller closes it. */
export interface ReadableFile {
  readonly size: () => Promise<number>;
  /** At most `maxBytes` from `offset`; fewer at its end. A log begins later when what was asked for is not kept any more. */
  readonly read: (offset: number, maxBytes: number) => Promise<FilePiece>;
  readonly close: () => Promise<void>;
}

export interface AllocationFiles {
  /** Makes an empty directory for each output; returns the directory that holds them. */
  readonly prepareOutputs: (id: AllocationId, outputs: readonly string[]) => Promise<string>;
  /**
   * Moves the outputs to where they are kept, in one step, after they are on disk; returns their size. Done twice it does
   * no harm, and what is there counts, not what is listed: the list may have been lost. The error is a sentence about outputs that cannot be kept; I/O errors reject.
   */
  readonly collectOutputs: (id: AllocationId, outputs: readonly string[]) => Promise<Result<number, string>>;
  /** Deletes outputs of a task that did not succeed. */
  readonly discardOutputs: (id: AllocationId) => Promise<void>;
  /** Moves the log away from the container (`path` in the runtime's directory), before the runtime deletes it; returns its size. */
  readonly keepLogs: (id: AllocationId, path: string) => Promise<number>;
  /** A stream of the log of a running container (`path`) or of the kept one; undefined when there is none. */
  readonly openLog: (id: AllocationId, kind: LogKind, path: string | undefined) => Promise<ReadableFile | undefined>;
  /** A regular file among the collected outputs; undefined when there is none of this name. */
  readonly openOutput: (id: AllocationId, path: string) => Promise<ReadableFile | undefined>;
  readonly listOutputs: (id: AllocationId, offset: number) => Promise<OutputList>;
  /**
   * One page of what `writable` changes of `layers` (topmost first), behind the place that `after` says. The error is a
   * sentence about a tree that nobody can list; rejects with ENOENT when it is gone.
   */
  readonly listChanges: (
    writable: string,
    layers: readonly string[],
    after: string | null,
  ) => Promise<Result<ChangeList, string>>;
  /** That a container is paused for a while, so that it goes on whatever becomes of this agent; or is no longer. */
  readonly notePause: (id: AllocationId, paused: boolean) => Promise<void>;
  readonly pausesNoted: () => Promise<readonly AllocationId[]>;
  /** Why this cannot be mounted into a container, as a sentence; undefined when it can. */
  readonly checkVolume: (source: string) => Promise<string | undefined>;
}
