/** Device nodes beside the default ones, and what may be done with them. */
import { fields, list, matching, oneOf, optional, refuse, whole, type Parse } from "./check.ts";
import { NOTHING, Row, type Ref, type SpecBytes } from "./bytes.ts";
import type { ContainerSpec } from "../types.ts";

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

const deviceRow =
  (out: SpecBytes): Parse<Row> =>
  (field, value) => {
    const given = fields(field, value, ["path", "type", "major", "minor", "mode", "uid", "gid", "access"]);
    const access = optional(
      `${field}.access`,
      given.access,
      matching(/^(?!.*(.).*\1)[rwm]{1,3}$/, "of r, w and m"),
      "rw",
    );
    return new Row().ref(out.text(nodePath(`${field}.path`, given.path))).u32(
      oneOf(["char", "block"])(`${field}.type`, given.type) === "char" ? 0x63 : 0x62,
      whole(0, 0xfff)(`${field}.major`, given.major),
      whole(0, MOST_MINOR)(`${field}.minor`, given.minor),
      optional(`${field}.mode`, given.mode, whole(0, 0o777), 0o660),
      optional(`${field}.uid`, given.uid, whole(0, 65_535), 0),
      optional(`${field}.gid`, given.gid, whole(0, 65_535), 0),
      ACCESS.reduce((sum, [letter, bit]) => (access.includes(letter) ? sum | bit : sum), 0),
      0,
    );
  };

export const encodeDevices = (spec: ContainerSpec, out: SpecBytes): Ref => {
  const rows = optional("devices", spec.devices, list(deviceRow(out), 0, 64), []);
  return rows.length === 0 ? NOTHING : out.section(new Row().ref(out.list(rows)));
};
