/** The compiled program answers as the profile reads: both are evaluated over calls and arguments that matter. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { compileProfile, type Instruction } from "./compile.ts";
import { parseProfile, type ParsedProfile, type SeccompOperator } from "./profile.ts";

interface Call {
  readonly arch: number;
  readonly number: number;
  readonly args: readonly bigint[];
}

const X86_64 = 0xc000_003e;
const KILL = 0x8000_0000;

/** As the kernel does, bpf_check_classic and all: forward jumps inside of the program only. */
const run = (program: readonly Instruction[], call: Call): number => {
  const word = (at: number): number => {
    if (at === 0) return call.number;
    if (at === 4) return call.arch;
    const arg = call.args[Math.floor((at - 16) / 8)] ?? 0n;
    return Number(at % 8 === 0 ? arg & 0xffff_ffffn : arg >> 32n);
  };
  let accumulator = 0;
  for (let at = 0; at < program.length; at += 1) {
    const { code, jt, jf, k } = program[at] as Instruction;
    const jump = (condition: boolean) => (at += condition ? jt : jf);
    if (code === 0x20) accumulator = word(k);
    else if (code === 0x06) return k;
    else if (code === 0x05) at += k;
    else if (code === 0x15) jump(accumulator === k);
    else if (code === 0x25) jump(accumulator > k);
    else if (code === 0x35) jump(accumulator >= k);
    else if (code === 0x54) accumulator = (accumulator & k) >>> 0;
    else throw new Error(`code ${code}`);
  }
  throw new Error("fell off the end");
};

const holds: Readonly<Record<SeccompOperator, (given: bigint, value: bigint, mask: bigint) => boolean>> = {
  eq: (given, value) => given === value,
  ne: (given, value) => given !== value,
  lt: (given, value) => given < value,
  le: (given, value) => given <= value,
  gt: (given, value) => given > value,
  ge: (given, value) => given >= value,
  masked_eq: (given, value, mask) => (given & mask) === (value & mask),
};

const expected = ({ rules, defaultAction }: ParsedProfile, call: Call): number => {
  if (call.arch !== X86_64 || call.number >= 0x4000_0000) return KILL;
  const matches = rules.find(
    (rule) =>
      rule.numbers.includes(call.number) &&
      rule.args.every((arg) => holds[arg.operator](call.args[arg.index] ?? 0n, arg.value, arg.mask)),
  );
  return matches?.action ?? defaultAction;
};

const action = fc.constantFrom(0x7fff_0000, 0x8000_0000, 0x7ffc_0000, 0x0003_0000, 0x0005_0001, 0x0005_0026);
const word = fc.oneof(
  fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
  fc.constantFrom(0n, 1n, 0xffff_ffffn, 0x1_0000_0000n, 0xffff_ffff_0000_0000n, 0xffff_ffff_ffff_ffffn),
);
const argument = fc
  .record({
    index: fc.integer({ min: 0, max: 5 }),
    operator: fc.constantFrom<SeccompOperator>("eq", "ne", "lt", "le", "gt", "ge", "masked_eq"),
    value: word,
    mask: word,
  })
  .map((arg) => (arg.operator === "masked_eq" ? arg : { ...arg, mask: 0xffff_ffff_ffff_ffffn }));
const profile: fc.Arbitrary<ParsedProfile> = fc.record({
  base: fc.constant("none" as const),
  defaultAction: action,
  rules: fc.array(
    fc.record({
      numbers: fc.array(fc.integer({ min: 0, max: 470 }), { minLength: 1, maxLength: 60 }),
      action,
      args: fc.oneof(
        { weight: 2, arbitrary: fc.constant([]) },
        { weight: 1, arbitrary: fc.array(argument, { maxLength: 6 }) },
      ),
    }),
    { maxLength: 40 },
  ),
});

test("every call gets the answer of the first rule that matches, or the default", () => {
  fc.assert(
    fc.property(
      profile,
      fc.array(fc.tuple(...Array.from({ length: 6 }, () => word)), { maxLength: 5 }),
      (given, args) => {
        const program = compileProfile(given, "x64") ?? [];
        expect(program.every(({ jt, jf }) => jt <= 255 && jf <= 255)).toBe(true);
        const values = [
          ...args,
          ...given.rules.map(({ args: all }) =>
            Array.from({ length: 6 }, (_, i) => all.find((arg) => arg.index === i)?.value ?? 0n),
          ),
        ];
        const numbers = new Set([
          0,
          469,
          470,
          471,
          0x3fff_ffff,
          0x4000_0000,
          ...given.rules.flatMap((rule) => rule.numbers),
        ]);
        for (const number of numbers)
          for (const all of values.slice(0, 12)) {
            const call = { arch: X86_64, number, args: all };
            expect(run(program, call)).toBe(expected(given, call));
          }
        expect(run(program, { arch: 0x4000_0003, number: 1, args: [] })).toBe(KILL);
      },
    ),
    { numRuns: 150 },
  );
});

test("any value is a profile or a mistake that names its field", () => {
  fc.assert(
    fc.property(fc.anything(), (value) => {
      expect(() => parseProfile("seccomp", value)).toThrow(/^seccomp/);
    }),
  );
});

test("a profile that could start nothing is refused", () => {
  for (const rules of [[], [{ names: ["execve"], action: "kill" }]])
    expect(() =>
      parseProfile("seccomp", { base: "none", defaultAction: rules.length === 0 ? { errno: 1 } : "allow", rules }),
    ).toThrow("seccomp: execve is refused");
});
