/** Device nodes beside the default ones, and what may be done with them. */
import { fields, list, matching, oneOf, optional, refuse, whole, type Parse } from "./check.ts";
import { NOTHING, type Ref, type Row, type SpecBytes } from "./bytes.ts";
import type { ContainerSpec, Device, SpecPolicy } from "../types.ts";

const ACCESS = [
  ["m", 1],
  ["r", 2],
  ["w", 4],
] as const;
/** Made for every container, or mounted there. */
const TAKEN = [
  "null",
  "zero",
  "full",
  "random",
  "urandom",
  "tty",
  "ptmx",
  "pts",
  "shm",
  "mqueue",
  "fd",
  "stdin",
  "stdout",
  "stderr",
  "console",
];
const MOST_MINOR = 0xf_ffff; /* MINORBITS 20 */

const nodePath: Parse<string> = (field, value) => {
  const given = matching(/^\/dev(\/[A-Za-z0-9_:.@+-]{1,100}){1,4}$/, "a plain path below /dev")(field, value);
  const [first, ...rest] = given.slice("/dev/".length).split("/");
  if (TAKEN.includes(first ?? "")) refuse(field, `${given} is made by Berth`);
  if ([first, ...rest].some((part) => part === "." || part === "..")) refuse(field, `${given} is not a plain path`);
  return given;
};

const device: Parse<Required<Device>> = (field, value) => {
  const given = fields(field, value, ["path", "type", "major", "minor", "mode", "uid", "gid", "access"]);
  return {
    path: nodePath(`${field}.path`, given.path),
    type: oneOf(["char", "block"])(`${field}.type`, given.type),
    major: whole(0, 0xfff)(`${field}.major`, given.major),
    minor: whole(0, MOST_MINOR)(`${field}.minor`, given.minor),
    mode: optional(`${field}.mode`, given.mode, whole(0, 0o777), 0o660),
    uid: optional(`${field}.uid`, given.uid, whole(0, 65_535), 0),
    gid: optional(`${field}.gid`, given.gid, whole(0, 65_535), 0),
    access: optional(`${field}.access`, given.access, matching(/^(?!.*(.).*\1)[rwm]{1,3}$/, "of r, w and m"), "rw"),
  };
};

const devicesOf = (spec: ContainerSpec): readonly Required<Device>[] | undefined =>
  optional("devices", spec.devices, list(device, 0, 64), undefined);

const rowOf = (one: Required<Device>, out: SpecBytes): Row => [
  out.text(one.path),
  one.type === "char" ? 0x63 : 0x62,
  one.major,
  one.minor,
  one.mode,
  one.uid,
  one.gid,
  ACCESS.reduce((sum, [letter, bit]) => (one.access.includes(letter) ? sum | bit : sum), 0),
  0,
];

/** A node of the host's disk or memory is the host itself: only what an operator has named may be asked for. */
const checkPolicy = (devices: readonly Required<Device>[], policy: SpecPolicy): void => {
  const refused = devices.find(
    ({ type, major, minor }) =>
      policy.devices?.some((one) => one.type === type && one.major === major && one.minor === minor) !== true,
  );
  if (refused !== undefined)
    refuse(
      "devices",
      `${refused.path} (${refused.type} ${refused.major}:${refused.minor}) is not allowed by this host's policy`,
    );
};

export const encodeDevices = (spec: ContainerSpec, policy: SpecPolicy, out: SpecBytes): Ref => {
  const devices = devicesOf(spec);
  if (devices === undefined) return NOTHING;
  checkPolicy(devices, policy);
  return out.section([out.list(devices.map((one) => rowOf(one, out)))]);
};

/** Those of every container: null, zero, full, random, urandom, tty, console, ptmx and what is in /dev/pts. */
const ALWAYS = ["1:3", "1:5", "1:7", "1:8", "1:9", "5:0", "5:1", "5:2", "136:*"];

/** devices.rst of cgroup v1: everything is taken away, then given back one by one. */
export const deviceWrites = (
  spec: ContainerSpec,
  path: string,
): readonly { readonly path: string; readonly file: string; readonly value: string }[] => [
  { path, file: "devices.deny", value: "a" },
  ...ALWAYS.map((numbers) => ({ path, file: "devices.allow", value: `c ${numbers} rwm` })),
  ...(devicesOf(spec) ?? []).map(({ type, major, minor, access }) => ({
    path,
    file: "devices.allow",
    value: `${type === "char" ? "c" : "b"} ${major}:${minor} ${access}`,
  })),
];
