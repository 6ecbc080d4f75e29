/** What a system call profile says, parsed from whatever was given. compile.ts turns it into a program. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { fields, list, oneOf, optional, refuse, shown, string, whole, type Parse } from "../spec/check.ts";

export type SeccompAction = "allow" | "log" | "trap" | "kill" | { readonly errno: number };
export type SeccompOperator = "eq" | "ne" | "lt" | "le" | "gt" | "ge" | "masked_eq";

export interface SeccompArgument {
  /** Which argument, 0 to 5. Only the register is looked at, never what it points to. */
  readonly index: number;
  readonly operator: SeccompOperator;
  /** Unsigned, 64 bits. */
  readonly value: number | bigint;
  /** With `masked_eq`: the bits that are compared. */
  readonly mask?: number | bigint;
}

export interface SeccompRule {
  readonly names: readonly string[];
  readonly action: SeccompAction;
  /** All of them must hold. */
  readonly args?: readonly SeccompArgument[];
}

export interface SeccompProfile {
  /**
   * `default`: this profile and the default one both apply, the stricter answer counts. `none`: this profile alone,
   * which the host's policy must allow.
   */
  readonly base: "default" | "none";
  /** For calls that no rule matches. */
  readonly defaultAction: SeccompAction;
  /** For each call the first rule that matches counts. */
  readonly rules: readonly SeccompRule[];
}

export interface ParsedRule {
  readonly numbers: readonly number[];
  readonly action: number;
  readonly args: readonly {
    readonly index: number;
    readonly operator: SeccompOperator;
    readonly value: bigint;
    readonly mask: bigint;
  }[];
}

export interface ParsedProfile {
  readonly base: "default" | "none";
  readonly defaultAction: number;
  readonly rules: readonly ParsedRule[];
}

/** SECCOMP_RET_*, linux/seccomp.h. */
export const ALLOW = 0x7fff_0000;
const LOG = 0x7ffc_0000;
const ACTIONS = { allow: ALLOW, log: LOG, trap: 0x0003_0000, kill: 0x8000_0000 } as const;
const ERRNO = 0x0005_0000;
const OPERATORS = ["eq", "ne", "lt", "le", "gt", "ge", "masked_eq"] as const;
const MOST_ERRNO = 4095;
const MOST = 0xffff_ffff_ffff_ffffn;

/** Newer than the headers of Debian 12; from 424 on a call has the same number everywhere. */
const NEWER: Readonly<Record<string, number>> = {
  cachestat: 451,
  fchmodat2: 452,
  map_shadow_stack: 453,
  futex_wake: 454,
  futex_wait: 455,
  futex_requeue: 456,
  statmount: 457,
  listmount: 458,
  lsm_get_self_attr: 459,
  lsm_set_self_attr: 460,
  lsm_list_modules: 461,
  mseal: 462,
  setxattrat: 463,
  getxattrat: 464,
  listxattrat: 465,
  removexattrat: 466,
  open_tree_attr: 467,
};

let table: ReadonlyMap<string, number> | undefined;

/** By name, as the headers of the machine that built this know them. */
export const syscallNumbers = (): ReadonlyMap<string, number> => {
  const path = fileURLToPath(new URL("../../build/native/syscalls.json", import.meta.url));
  table ??= new Map([...Object.entries(NEWER), ...Object.entries(JSON.parse(readFileSync(path, "utf8")) as object)]);
  return table;
};

const action: Parse<number> = (field, value) => {
  if (typeof value === "object")
    return ERRNO | whole(1, MOST_ERRNO)(`${field}.errno`, fields(field, value, ["errno"]).errno);
  return ACTIONS[oneOf(["allow", "log", "trap", "kill"])(field, value)];
};

const number: Parse<number> = (field, value) =>
  syscallNumbers().get(string(field, value)) ?? refuse(field, `${shown(value)} is not a system call of this machine`);

const word: Parse<bigint> = (field, value) => {
  const given = typeof value === "bigint" ? value : BigInt(whole(0, Number.MAX_SAFE_INTEGER)(field, value));
  return given >= 0n && given <= MOST ? given : refuse(field, `${shown(value)} does not fit 64 bits`);
};

const argument: Parse<ParsedRule["args"][number]> = (field, value) => {
  const given = fields(field, value, ["index", "operator", "value", "mask"]);
  const operator = oneOf(OPERATORS)(`${field}.operator`, given.operator);
  if ((operator === "masked_eq") !== (given.mask !== undefined))
    refuse(`${field}.mask`, "belongs to masked_eq, and to that alone");
  const mask = optional(`${field}.mask`, given.mask, word, MOST);
  return {
    index: whole(0, 5)(`${field}.index`, given.index),
    operator,
    value: word(`${field}.value`, given.value),
    mask,
  };
};

const rule: Parse<ParsedRule> = (field, value) => {
  const given = fields(field, value, ["names", "action", "args"]);
  return {
    numbers: list(number, 1, 1024)(`${field}.names`, given.names),
    action: action(`${field}.action`, given.action),
    args: optional(`${field}.args`, given.args, list(argument, 0, 6), []),
  };
};

export const parseProfile: Parse<ParsedProfile> = (field, value) => {
  const given = fields(field, value, ["base", "defaultAction", "rules"]);
  const profile = {
    base: oneOf(["default", "none"])(`${field}.base`, given.base),
    defaultAction: action(`${field}.defaultAction`, given.defaultAction),
    rules: list(rule, 0, 1024)(`${field}.rules`, given.rules),
  };
  const execve = syscallNumbers().get("execve") ?? -1;
  const first = profile.rules.find((one) => one.numbers.includes(execve));
  const decided = first === undefined ? profile.defaultAction : first.args.length === 0 ? first.action : ALLOW;
  if (decided !== ALLOW && decided !== LOG) refuse(field, "execve is refused, so no program could be started");
  return profile;
};
