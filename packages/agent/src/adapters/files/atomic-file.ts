/**
 * Small files that are either the old or the new version, whatever is killed or cut in between: written beside their
 * place, renamed into it. A checksum in the first line tells a file that was damaged later from a good one.
 */
import { createHash } from "node:crypto";
import { open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

let counter = 0;

const sum = (body: string): string => createHash("sha256").update(body).digest("hex");

/** Makes entries of a directory (names, renames) survive a power cut. */
export const syncDirectory = async (path: string): Promise<void> => {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
};

/** Replaces `path`. With `durable`, also after a power cut. */
export const writeSealed = async (
  path: string,
  value: unknown,
  options: { readonly durable: boolean },
): Promise<void> => {
  const body = JSON.stringify(value);
  counter += 1;
  const temporary = `${path}.${process.pid}.${counter}.tmp`;
  try {
    const file = await open(temporary, "wx", 0o600);
    try {
      await file.writeFile(`${sum(body)}\n${body}\n`);
      if (options.durable) await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  if (options.durable) await syncDirectory(dirname(path));
};

export type Sealed =
  | { readonly kind: "value"; readonly value: unknown }
  | { readonly kind: "absent" }
  /** Truncated, altered, or not ours. */
  | { readonly kind: "damaged" };

export const readSealed = async (path: string): Promise<Sealed> => {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return { kind: "absent" };
    throw new Error(`cannot read ${path}`, { cause: error });
  }
  const end = text.indexOf("\n");
  const body = text.slice(end + 1, -1);
  if (end !== 64 || !text.endsWith("\n") || sum(body) !== text.slice(0, end)) return { kind: "damaged" };
  try {
    return { kind: "value", value: JSON.parse(body) as unknown };
  } catch {
    return { kind: "damaged" };
  }
};

export const hasCode = (error: unknown, ...codes: readonly string[]): boolean =>
  error instanceof Error && "code" in error && typeof error.code === "string" && codes.includes(error.code);

export const isMissing = (error: unknown): boolean => hasCode(error, "ENOENT", "ENOTDIR");
