/** What a program may ask the kernel for: its system call profile, sysctls of its own namespaces, paths that are hidden. */
import { compileProfile } from "../seccomp/compile.ts";
import { parseProfile, type ParsedProfile } from "../seccomp/profile.ts";
import { entries, list, matching, oneOf, optional, path, refuse, shown, type Parse } from "./check.ts";
import { NOTHING, type Ref, type Row, type SpecBytes } from "./bytes.ts";
import type { ContainerSpec, SpecPolicy } from "../types.ts";

const SECCOMP_DEFAULT = 0;
const SECCOMP_NONE = 1;
const MOST_INSTRUCTIONS = 4096;

/** Namespaced ones; kernel.core_pattern and its like are the host's. */
const ALLOWED = [
  /^kernel\.(shmall|shmmax|shmmni|shm_rmid_forced|msgmax|msgmnb|msgmni|sem)$/,
  /^fs\.mqueue\.[a-z_]+$/,
  /^net(\.[A-Za-z0-9_-]+)+$/,
];
/** No newline and no "+": either has started a second assignment somewhere. */
const sysctlValue = matching(/^[A-Za-z0-9 _.:,/-]{1,256}$/, "a value of letters, digits, blanks and _ . : , / -");

const sysctlValues: Parse<readonly [string, string][]> = (field, value) => entries(field, value, sysctlValue, 64);

const hiddenPath: Parse<string> = (field, value) => {
  const given = path(field, value);
  return given.split("/").some((part) => part !== "" && part !== ".")
    ? given
    : refuse(field, "the root cannot be hidden");
};

const hidden = list(hiddenPath, 0, 64);

interface Seccomp {
  readonly mode: number;
  readonly filter: readonly Row[];
}

const compiled = new WeakMap<object, readonly Row[]>();

const filterOf = (profile: ParsedProfile, given: object): readonly Row[] => {
  const known = compiled.get(given);
  if (known !== undefined) return known;
  const program = compileProfile(profile);
  if (program === undefined) return refuse("seccomp", `profiles cannot be compiled for ${process.arch}`);
  if (program.length > MOST_INSTRUCTIONS)
    refuse("seccomp", `the profile needs ${program.length} instructions, the kernel takes ${MOST_INSTRUCTIONS}`);
  const rows = program.map(({ code, jt, jf, k }) => [code | (jt << 16) | (jf << 24), k]);
  if (Object.isFrozen(given)) compiled.set(given, rows);
  return rows;
};

const seccompOf = (value: unknown, policy: SpecPolicy): Seccomp => {
  if (value === undefined) return { mode: SECCOMP_DEFAULT, filter: [] };
  const allowed = policy.unconfinedSeccomp === true;
  if (typeof value !== "object" || value === null) {
    const name = oneOf(["default", "unconfined"])("seccomp", value);
    if (name === "unconfined" && !allowed) refuse("seccomp", "unconfined is not allowed by this host's policy");
    return { mode: name === "default" ? SECCOMP_DEFAULT : SECCOMP_NONE, filter: [] };
  }
  const profile = parseProfile("seccomp", value);
  if (profile.base === "none" && !allowed)
    refuse("seccomp.base", "a profile instead of the default one is not allowed by this host's policy");
  return { mode: profile.base === "default" ? SECCOMP_DEFAULT : SECCOMP_NONE, filter: filterOf(profile, value) };
};

const sysctlRow = (out: SpecBytes, spec: ContainerSpec, name: string, value: string): Row => {
  const field = "sysctls";
  if (name.length > 200 || !ALLOWED.some((pattern) => pattern.test(name)))
    refuse(field, `${shown(name)} is not one of kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.* and net.*`);
  const owner = name.startsWith("net.") ? "net" : "ipc";
  if (spec.namespaces?.[owner] !== undefined) refuse(field, `${name} belongs to the ${owner} namespace that is joined`);
  return [out.text(name.replaceAll(".", "/")), out.text(value)];
};

export const encodeSecurity = (spec: ContainerSpec, policy: SpecPolicy, out: SpecBytes): Ref => {
  const { seccomp, sysctls, maskedPaths, readOnlyPaths } = spec;
  const { mode, filter } = seccompOf(seccomp, policy);
  const masked = optional("maskedPaths", maskedPaths, hidden, []);
  const readOnly = optional("readOnlyPaths", readOnlyPaths, hidden, []);
  const settings = optional("sysctls", sysctls, sysctlValues, []);
  if (mode === SECCOMP_DEFAULT && filter.length + masked.length + readOnly.length + settings.length === 0)
    return NOTHING;
  return out.section([
    out.list(filter),
    out.texts(masked),
    out.texts(readOnly),
    out.list(settings.map(([name, value]) => sysctlRow(out, spec, name, value))),
    mode,
    0,
  ]);
};
