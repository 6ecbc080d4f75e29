/** A snapshot must say what the log before it says: everything that was seen is folded again and compared with it. */
import { decodeSnapshot } from "../../packages/scheduler/src/app/snapshot-format.ts";
import { createState, fold, imageOf } from "../../packages/scheduler/src/core/index.ts";
import type { Entry } from "./tail.ts";

export interface StoredSnapshot {
  readonly name: string;
  readonly chunks: readonly Uint8Array[];
}

/** Order is no fact: an image restored and taken again may list the same things in another one. */
const linesOf = (image: Iterable<unknown>): string[] => [...image].map((line) => JSON.stringify(line)).toSorted();

const imageAt = (log: readonly Entry[], revision: number): string[] => {
  const state = createState();
  for (const { sequence, transaction } of log) {
    if (sequence > revision) break;
    fold(state, sequence, transaction);
  }
  return linesOf(imageOf(state));
};

export const checkSnapshots = (log: readonly Entry[], snapshots: readonly StoredSnapshot[]): string[] =>
  snapshots.flatMap(({ name, chunks }) => {
    const decoded = decodeSnapshot(chunks);
    if (!decoded.ok) return [`snapshot ${name}: ${decoded.error}`];
    const { revision } = decoded.value.header;
    if (log.length < revision) return [`snapshot ${name} goes up to ${revision}, the log to ${log.length}`];
    const [says, should] = [linesOf(decoded.value.image), imageAt(log, revision)];
    const at = should.findIndex((line, index) => line !== says[index]);
    if (at < 0 && says.length === should.length) return [];
    return [
      `snapshot ${name} is not what the log says: ${says[at]?.slice(0, 400)} instead of ${should[at]?.slice(0, 400)}`,
    ];
  });
