/** Files in memory that only the program's user can read. What is in them is in no error. */
import type { ContainerSpec } from "../types.ts";
import { NOTHING, type Ref, type Row, type SpecBytes } from "./bytes.ts";
import { entries, fields, path, refuse, shown, type Parse } from "./check.ts";

const MOST = 64;
const MOST_BYTES = 65_536;
const NAME = /^(?!\.)[A-Za-z0-9._-]{1,128}$/;
/** What the kernel says about itself lies there. */
const RESERVED = ["proc", "sys", "dev"];

const content: Parse<Uint8Array> = (field, value) => {
  if (!(value instanceof Uint8Array)) return refuse(field, "is not a Uint8Array");
  return value.length <= MOST_BYTES
    ? value
    : refuse(field, `${value.length} bytes, at most ${MOST_BYTES} are possible`);
};

export const encodeSecrets = (spec: ContainerSpec, out: SpecBytes): Ref => {
  if (spec.secrets === undefined) return NOTHING;
  const given = fields("secrets", spec.secrets, ["target", "files"]);
  const target = path("secrets.target", given.target);
  const first = target.split("/").find((part) => part !== "" && part !== ".");
  if (first === undefined || RESERVED.includes(first)) refuse("secrets.target", `${shown(target)} is reserved`);
  const rows = entries("secrets.files", given.files, content, MOST).map(([name, bytes]): Row => {
    if (!NAME.test(name)) refuse("secrets.files", `${shown(name)} is not the name of a file`);
    return [out.text(name), out.bytes(bytes)];
  });
  return out.section([out.text(target), out.list(rows)]);
};
