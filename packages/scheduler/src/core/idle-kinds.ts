/**
 * The last idle hosts of each kind, which have the same devices and about as much of all else (two machines of one model differ
 * by some memory that the kernel keeps, and by what is on their disks): only they can take what needs a whole host of it,
 * and whether that will come nobody can learn before it does. So the last one is opened as if all of its room came back, the
 * last but one as if half of it did, and so on.
 */
import type { HostTable } from "./host-table.ts";
import { aboutAs, BASE } from "./vector.ts";

/** Of a kind with more idle hosts than these none is guarded. */
const GUARDED = 4;

/** Ready, with nothing on it, and with devices to lose. */
export const isIdleWithDevices = ({ rows, stride, width }: HostTable, slot: number): boolean => {
  const { allocatable, free, ready } = rows();
  const all = allocatable.subarray(slot * stride, (slot + 1) * stride);
  for (let at = 0; at < width(); at += 1) if (free[slot * stride + at] !== all[at]) return false;
  return ready[slot] === 1 && all.subarray(BASE).some((amount) => amount > 0);
};

export interface IdleKinds {
  /** A host is idle and ready from here on, or not; calls with every host whose guard is another one now. */
  readonly note: (slot: number, isIdle: boolean, changed: (slot: number, guard: number) => void) => void;
}

export const createIdleKinds = ({ rows, stride }: HostTable): IdleKinds => {
  const idle = new Map<string, Set<number>>();
  const kindOf = new Map<number, string>();
  const kind = (slot: number): string => {
    const { allocatable, models } = rows();
    const columns = stride - BASE;
    const all = allocatable.subarray(slot * stride, (slot + 1) * stride);
    const plain = Array.from(all.subarray(0, BASE), aboutAs);
    return `${plain.join()} ${all.subarray(BASE).join()} ${models.subarray(slot * columns, (slot + 1) * columns).join()}`;
  };
  const guardOf = (count: number): number => (count > GUARDED ? 0 : 1 / count);
  const tell = (key: string, changed: (slot: number, guard: number) => void): void => {
    const slots = idle.get(key);
    if (slots === undefined || slots.size > GUARDED + 1) return;
    for (const slot of slots) changed(slot, guardOf(slots.size));
  };
  return {
    note: (slot, isIdle, changed) => {
      const before = kindOf.get(slot);
      const now = isIdle ? kind(slot) : undefined;
      if (before === now) return;
      if (before !== undefined) {
        idle.get(before)?.delete(slot);
        kindOf.delete(slot);
        changed(slot, 0);
        tell(before, changed);
      }
      if (now === undefined) return;
      kindOf.set(slot, now);
      idle.set(now, (idle.get(now) ?? new Set()).add(slot));
      tell(now, changed);
    },
  };
};
