/** Whether the file system of a directory can limit what is written below it. */
import { binding, type Binding } from "./binding.ts";

/** Why what a container writes over its layers is not limited, or null when it can be. */
export const diskLimitOf = (binding: Binding, directory: number): string | null =>
  binding.projectQuotas(directory) === 0
    ? null
    : "The file system of the data directory enforces no project quotas (ext4, xfs: mount option prjquota): what a task writes over its image may grow while the disk has room.";

/** Whether limitTree can limit directories below this open one. */
export const canLimitTrees = (directory: number): boolean => binding().projectQuotas(directory) === 0;
