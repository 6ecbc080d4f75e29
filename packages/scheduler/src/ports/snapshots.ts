/** Where snapshots are kept besides the log. Written whole or not at all; what is read back has proven itself first. */
export interface StoredSnapshot {
  readonly name: string;
  /** The last transaction that is in it. */
  readonly revision: number;
}

export interface SnapshotStore {
  /** Complete ones, the newest first. */
  readonly list: () => Promise<readonly StoredSnapshot[]>;
  readonly write: (revision: number, chunks: readonly Uint8Array[]) => Promise<StoredSnapshot>;
  /** Its bytes; rejects when some are missing or differ from what was written. */
  readonly read: (name: string) => Promise<readonly Uint8Array[]>;
  readonly remove: (name: string) => Promise<void>;
  /** Removes what killed writers have left of snapshots older than `revision`. */
  readonly sweep: (revision: number) => Promise<void>;
}
