/** What the agent needs of volumes: directories that outlive the allocations that mount them. */
import type { DesiredVolume, Result, VolumeFill, VolumeOnHost } from "@berth/schema";

/** One that is read. When it is not here it has nothing in it, or its data is lost if it `mustExist`: that is a failure. */
export interface Source {
  readonly id: string;
  readonly mustExist: boolean;
}

export interface Volumes {
  /** Whether a volume that is made here never holds more than its size. One that was made without stays as it is. */
  readonly enforcesSizes: boolean;
  /**
   * The directory to mount; made when the volume is new here. The error is a sentence for the user; I/O errors reject.
   * Whoever calls it keeps `remove` away until the allocation that mounts it has ended. When that one `writes`, archives
   * of the volume that are being read are given up.
   */
  readonly ensure: (volume: DesiredVolume, use: { readonly writes: boolean }) => Promise<Result<string, string>>;
  /** What it holds now, counted by walking it; undefined when it is not here. */
  readonly stat: (id: string) => Promise<VolumeOnHost | undefined>;
  /**
   * Begins to copy `from` to a volume that is not here yet, and says how far that is. A failure is told once; asking again
   * begins anew. Whoever calls it sees to it that nobody writes `from` meanwhile. Without a size it may grow.
   */
  readonly fill: (id: string, from: Source, sizeBytes?: number) => Promise<VolumeFill>;
  /** What it holds, as a tar archive, piece by piece. Whoever calls it sees that nobody writes it. */
  readonly give: (volume: Source, signal: AbortSignal) => AsyncIterable<Uint8Array>;
  /** Whether it is being read as an archive. */
  readonly isGiven: (id: string) => boolean;
  /** Makes one that is not here of an archive, whole or not at all. Rejects with a sentence that names the entry. */
  readonly take: (
    id: string,
    archive: AsyncIterable<Uint8Array>,
    options: { readonly mostBytes: number | null; readonly signal: AbortSignal },
  ) => Promise<{ readonly entries: number; readonly bytes: number }>;
  readonly isHere: (id: string) => Promise<boolean>;
  /** Bytes of all volumes here; undefined when counting takes longer than this. */
  readonly usedBytes: (withinMs: number) => Promise<number | undefined>;
  /** Nothing finds it any more once this resolves; its files are deleted from then on. What is not there is no error. */
  readonly remove: (id: string) => Promise<void>;
}
