/** A log in memory with the semantics of the real one, and with failures on demand. Several instances may share one. */
import type { Transaction } from "@berth/schema";
import type { AppendOutcome, Log, LogEntry } from "../ports/log.ts";

export interface MemoryLog extends Log {
  readonly entries: Transaction[];
  /** Decides the fate of the next appends: stored or not, and what the writer is told. Undefined: all is well. */
  readonly fail: (
    fate: (() => { readonly store: boolean; readonly outcome: AppendOutcome } | undefined) | undefined,
  ) => void;
}

export const memoryLog = (): MemoryLog => {
  const entries: Transaction[] = [];
  const readers = new Set<() => void>();
  let fate: (() => { readonly store: boolean; readonly outcome: AppendOutcome } | undefined) | undefined;

  const store = (transaction: Transaction): void => {
    // Through JSON: nobody may hold on to what the other side changes.
    entries.push(JSON.parse(JSON.stringify(transaction)) as Transaction);
    for (const wake of readers) wake();
  };

  async function* read(fromSequence: number, signal: AbortSignal): AsyncGenerator<LogEntry> {
    let next = fromSequence;
    while (!signal.aborted) {
      const transaction = entries[next - 1];
      if (transaction !== undefined) {
        yield { sequence: next, transaction };
        next += 1;
        continue;
      }
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          readers.delete(wake);
          signal.removeEventListener("abort", wake);
          resolve();
        };
        readers.add(wake);
        signal.addEventListener("abort", wake);
      });
    }
  }

  return {
    entries,
    fail: (decide) => {
      fate = decide;
    },
    purgeBefore: async () => {},
    end: async () => ({
      bytes: 0,
      firstSequence: 1,
      lastSequence: entries.length,
      incarnation: "memory",
    }),
    read,
    append: async (transaction, expectedLastSequence) => {
      const decided = fate?.();
      if (decided !== undefined) {
        if (decided.store && expectedLastSequence === entries.length) store(transaction);
        return decided.outcome;
      }
      if (expectedLastSequence !== entries.length) return { kind: "refused" };
      store(transaction);
      return { kind: "appended", sequence: entries.length };
    },
  };
};
