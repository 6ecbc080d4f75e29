/** Extended attributes of open files and directories. */
import { constants } from "node:os";
import { binding } from "./binding.ts";

const { ENODATA, ENOTSUP } = constants.errno;

/** Undefined when it has none of this name, or its file system has none at all; anything else throws. */
export const readXattr = (fd: number, name: string): Buffer | undefined => {
  const value = binding().getXattr(fd, name);
  if (typeof value !== "number") return value;
  if (value === -ENODATA || value === -ENOTSUP) return undefined;
  throw new Error(`cannot read the extended attribute ${name}: errno ${-value}`);
};
