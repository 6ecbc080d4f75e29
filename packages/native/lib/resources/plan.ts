/**
 * Which writes make a container's cgroups hold what is wanted: all at a start, the differences on a running container.
 * Pure. An order is chosen in which the kernel accepts every single write, forwards and, after a failure, backwards.
 */
import { keyOf, type Setting } from "./setting.ts";

export interface Write {
  readonly kind: "write";
  readonly path: string;
  readonly file: string;
  readonly value: string;
  /** What was there before. */
  readonly undo: string;
}

/** Goes on only when a file holds at most so much: nobody is killed because a limit was lowered. */
export interface AtMost {
  readonly kind: "at_most";
  readonly path: string;
  readonly file: string;
  readonly bytes: number;
}

export type Step = Write | AtMost;

interface Change {
  readonly setting: Setting;
  readonly from: number;
  readonly to: number;
  readonly write: Write;
}

/** For a cgroup that was just made: what it has by itself is not written again. */
export const planStart = (settings: readonly Setting[]): readonly Setting[] =>
  settings.filter((setting) => setting.always === true || setting.value !== setting.initial);

export const planUpdate = (before: readonly Setting[], after: readonly Setting[]): readonly Step[] => {
  const known = new Map(before.map((setting) => [keyOf(setting), setting]));
  const kept = new Set(after.map(keyOf));
  const changes = [
    ...before.filter((setting) => !kept.has(keyOf(setting))).map((setting) => change(setting, takenBack(setting))),
    ...after.map((setting) => change(known.get(keyOf(setting)), setting)),
  ].filter(({ write }) => write.value !== write.undo);
  /* The hard limit of the sum and that of its part; the quota and what may go beyond it. */
  arrange(changes, "memory.limit_in_bytes", "memory.memsw.limit_in_bytes");
  arrange(changes, "cpu.cfs_burst_us", "cpu.cfs_quota_us");
  arrange(changes, "cpu.max.burst", "cpu.max");
  renewShares(changes, after);
  return lowersHard(changes, before, after);
};

/** bfq forgets the shares of single disks when the share of all of them is written (bfq_io_set_weight_legacy). */
const renewShares = (changes: Change[], after: readonly Setting[]): void => {
  const isShare = ({ file }: Setting) => file.includes("bfq.weight");
  const ofAll = changes.some(({ setting }) => setting.key === undefined && isShare(setting));
  if (!ofAll) return;
  for (const setting of after.filter((one) => one.key !== undefined && isShare(one)))
    if (!changes.some((one) => keyOf(one.setting) === keyOf(setting))) changes.push(change(setting, setting));
};

const change = (before: Setting | undefined, setting: Setting): Change => ({
  setting,
  from: before === undefined ? initialAmount(setting) : (before.amount ?? 0),
  to: setting.amount ?? 0,
  write: {
    kind: "write",
    path: setting.path,
    file: setting.file,
    value: setting.value,
    undo: before?.value ?? setting.initial,
  },
});

const takenBack = ({ amount, ...setting }: Setting): Setting => {
  const back = { ...setting, value: setting.initial };
  return amount === undefined ? back : { ...back, amount: initialAmount(setting) };
};

const initialAmount = ({ initial }: Setting): number => {
  const number = Number.parseInt(initial, 10);
  return Number.isNaN(number) || number < 0 ? Number.POSITIVE_INFINITY : number;
};

/**
 * The kernel refuses a state in which `part` is more than `whole`. Both lie within bounds before and after; so when the
 * new part exceeds the old whole, the whole grows and goes first, and otherwise the part goes first.
 */
const arrange = (changes: Change[], part: string, whole: string): void => {
  const first = changes.findIndex(({ setting }) => setting.file === part);
  const second = changes.findIndex(({ setting }) => setting.file === whole);
  const [a, b] = [changes[first], changes[second]];
  if (a === undefined || b === undefined) return;
  const wholeFirst = a.to > b.from;
  if (wholeFirst !== second < first) [changes[first], changes[second]] = [b, a];
};

/**
 * v1 refuses a limit below what is used and cannot be taken back; v2 sets it and kills. So v2 first takes back what it
 * can by way of memory.high, and looks.
 */
const lowersHard = (
  changes: readonly Change[],
  before: readonly Setting[],
  after: readonly Setting[],
): readonly Step[] => {
  const hard = changes.find(({ setting, from, to }) => setting.file === "memory.max" && to < from);
  if (hard === undefined) return changes.map(({ write }) => write);
  const highOf = (settings: readonly Setting[]) => settings.find(({ file }) => file === "memory.high")?.value ?? "max";
  const { path, value } = hard.write;
  const high = { kind: "write", path, file: "memory.high" } as const;
  return changes.flatMap((each): readonly Step[] => {
    if (each.setting.file === "memory.high") return [];
    if (each !== hard) return [each.write];
    return [
      { ...high, value, undo: highOf(before) },
      { kind: "at_most", path, file: "memory.current", bytes: hard.to },
      hard.write,
      { ...high, value: highOf(after), undo: value },
    ];
  });
};
