/**
 * Compiles a profile to the classic BPF that seccomp(2) takes. Pure, and in a language where nothing it is given can
 * reach the agent's memory; the kernel checks the program once more.
 *
 * A program only jumps forward, so it is written from its end: what is jumped to exists already, and a label is the
 * distance of an instruction from the end. Numbers of calls are found by binary search over ranges with the same answer.
 */
import type { ParsedProfile, ParsedRule } from "./profile.ts";

export interface Instruction {
  readonly code: number;
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}

const LD = 0x20; /* BPF_LD | BPF_W | BPF_ABS */
const RET = 0x06;
const JA = 0x05;
const JEQ = 0x15;
const JGT = 0x25;
const JGE = 0x35;
const AND = 0x54;
const KILL = 0x8000_0000;
const FARTHEST = 255;

/** struct seccomp_data. */
const NUMBER_AT = 0;
const ARCH_AT = 4;
const ARGS_AT = 16;
const X32 = 0x4000_0000;
/** AUDIT_ARCH_*, linux/audit.h: little-endian machines only, as everything here. */
const ARCHITECTURES: Readonly<Record<string, number>> = { x64: 0xc000_003e, arm64: 0xc000_00b7, riscv64: 0xc000_00f3 };

type Label = number;

class Program {
  readonly #backwards: Instruction[] = [];
  readonly #returns = new Map<number, Label>();

  get forwards(): readonly Instruction[] {
    return this.#backwards.toReversed();
  }

  /** Falls through to what was emitted before it. */
  emit(code: number, k: number, jt = 0, jf = 0): Label {
    return this.#backwards.push({ code, jt, jf, k }) - 1;
  }

  answer(action: number): Label {
    const known = this.#returns.get(action);
    if (known !== undefined) return known;
    const label = this.emit(RET, action);
    this.#returns.set(action, label);
    return label;
  }

  test(code: number, k: number, yes: Label, no: Label): Label {
    /* A jump of more than 255 instructions takes a step in between; that step may push the other target away. */
    const nearNo = this.#near(no, 1);
    const nearYes = this.#near(yes, 0);
    return this.emit(code, k, this.#distance(nearYes), this.#distance(nearNo));
  }

  #distance(to: Label): number {
    return this.#backwards.length - 1 - to;
  }

  #near(label: Label, reserve: number): Label {
    return this.#distance(label) + reserve <= FARTHEST ? label : this.emit(JA, this.#distance(label));
  }
}

const low = (value: bigint): number => Number(value & 0xffff_ffffn);
const high = (value: bigint): number => Number(value >> 32n);

/** One comparison of a 64-bit argument, in two halves. */
const compare = (program: Program, arg: ParsedRule["args"][number], yes: Label, no: Label): Label => {
  const at = ARGS_AT + arg.index * 8;
  const halves = (lowCode: number, highFirst: boolean, onYes: Label, onNo: Label): Label => {
    program.test(lowCode, low(arg.value), onYes, onNo);
    const lower = program.emit(LD, at);
    const equal = program.test(JEQ, high(arg.value), lower, onNo);
    if (highFirst) program.test(JGT, high(arg.value), onYes, equal);
    return program.emit(LD, at + 4);
  };
  switch (arg.operator) {
    case "eq":
      return halves(JEQ, false, yes, no);
    case "ne":
      return halves(JEQ, false, no, yes);
    case "gt":
      return halves(JGT, true, yes, no);
    case "ge":
      return halves(JGE, true, yes, no);
    case "lt":
      return halves(JGE, true, no, yes);
    case "le":
      return halves(JGT, true, no, yes);
    case "masked_eq": {
      const wanted = arg.value & arg.mask;
      program.test(JEQ, low(wanted), yes, no);
      program.emit(AND, low(arg.mask));
      const lower = program.emit(LD, at);
      program.test(JEQ, high(wanted), lower, no);
      program.emit(AND, high(arg.mask));
      return program.emit(LD, at + 4);
    }
  }
};

const decide = (program: Program, rules: readonly ParsedRule[], defaultAction: number): Label => {
  const final = rules.findIndex((rule) => rule.args.length === 0);
  const last = rules[final];
  const conditional = final < 0 ? rules : rules.slice(0, final);
  return conditional.reduceRight(
    (otherwise, rule) => {
      const matched = program.answer(rule.action);
      return rule.args.reduceRight((yes, arg) => compare(program, arg, yes, otherwise), matched);
    },
    program.answer(last === undefined ? defaultAction : last.action),
  );
};

interface Range {
  readonly from: number;
  readonly label: Label;
}

const rangesOf = (program: Program, { rules, defaultAction }: ParsedProfile): readonly Range[] => {
  const byNumber = new Map<number, ParsedRule[]>();
  for (const rule of rules)
    for (const number of new Set(rule.numbers)) byNumber.set(number, [...(byNumber.get(number) ?? []), rule]);
  const other = program.answer(defaultAction);
  /* Calls under the same rules share their code. */
  const shared = new Map<string, Label>();
  const ranges: Range[] = [{ from: 0, label: other }];
  const start = (from: number, label: Label): void => {
    if (ranges.at(-1)?.from === from) ranges.pop();
    if (ranges.at(-1)?.label !== label) ranges.push({ from, label });
  };
  for (const [number, own] of [...byNumber].toSorted(([a], [b]) => a - b)) {
    const key = own.map((rule) => rules.indexOf(rule)).join();
    const label = shared.get(key) ?? decide(program, own, defaultAction);
    shared.set(key, label);
    start(number, label);
    start(number + 1, other);
  }
  return ranges;
};

/** Expects the number of the call in the accumulator. */
const search = (program: Program, ranges: readonly Range[]): Label => {
  const [only] = ranges;
  if (only === undefined) return program.answer(KILL);
  if (ranges.length === 1) return only.label;
  const middle = Math.ceil(ranges.length / 2);
  const above = search(program, ranges.slice(middle));
  const below = search(program, ranges.slice(0, middle));
  return program.test(JGE, ranges[middle]?.from ?? 0, above, below);
};

/** Undefined on machines whose number is not known here. */
export const compileProfile = (
  profile: ParsedProfile,
  arch: string = process.arch,
): readonly Instruction[] | undefined => {
  const architecture = ARCHITECTURES[arch];
  if (architecture === undefined) return undefined;
  const program = new Program();
  const kill = program.answer(KILL);
  const found = search(program, rangesOf(program, profile));
  /* x32 calls have numbers of their own, which no rule names. */
  program.test(JGE, arch === "x64" ? X32 : 0, arch === "x64" ? kill : found, found);
  program.emit(LD, NUMBER_AT);
  const native = program.forwards.length - 1;
  program.test(JEQ, architecture, native, kill);
  program.emit(LD, ARCH_AT);
  return program.forwards;
};
