/** What the agent needs of volumes: directories that outlive the allocations that mount them. */
import type { DesiredVolume, Result, VolumeFill, VolumeOnHost } from "@berth/schema";

export interface Volumes {
  /**
   * The directory to mount; made when the volume is new here. The error is a sentence for the user; I/O errors reject.
   * Whoever calls it keeps `remove` away until the allocation that mounts it has ended.
   */
  readonly ensure: (volume: DesiredVolume) => Promise<Result<string, string>>;
  /** What it holds now, counted by walking it; undefined when it is not here. */
  readonly stat: (id: string) => Promise<VolumeOnHost | undefined>;
  /**
   * Begins to copy `from` to a volume that is not here yet, and says how far that is. A failure is told once; asking again
   * begins anew. Whoever calls it sees to it that nobody writes `from` meanwhile.
   */
  readonly fill: (id: string, from: string) => Promise<VolumeFill>;
  /** Bytes of all volumes here; undefined when counting takes longer than this. */
  readonly usedBytes: (withinMs: number) => Promise<number | undefined>;
  /** Nothing finds it any more once this resolves; its files are deleted from then on. What is not there is no error. */
  readonly remove: (id: string) => Promise<void>;
}
