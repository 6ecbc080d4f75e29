/**
 * Turns unknown values into what a field may hold, or says which field is wrong and why. Specs come from JSON and from
 * other programs, so nothing is believed of a type. A mistake is thrown, and caught by encodeSpec alone: that keeps
 * the parsers one line per field.
 */

/** `message` starts with the name of the field. */
export class Mistake extends Error {
  override readonly name = "Mistake";
}

export const refuse = (field: string, sentence: string): never => {
  throw new Mistake(`${field}: ${sentence}`);
};

export type Parse<T> = (field: string, value: unknown) => T;

/** At most 80 characters of a value, whatever it is. */
export const shown = (value: unknown): string => {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 80));
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "a list" : "an object";
  return String(value).slice(0, 80);
};

const MAX_PATH = 4095;
/** Of UTF-8 for one UTF-16 code unit, at most. */
export const WIDEST = 3;
const fits = (value: string, most: number): boolean =>
  value.length * WIDEST <= most || Buffer.byteLength(value, "utf8") <= most;

export const string = (field: string, value: unknown): string =>
  typeof value === "string" ? value : refuse(field, `${shown(value)} is not a string`);

/** Any text without NUL of at most `most` bytes. */
export const text =
  (most: number): Parse<string> =>
  (field, value) => {
    const given = string(field, value);
    return !given.includes("\0") && fits(given, most)
      ? given
      : refuse(field, `${shown(given)} contains NUL or is longer than ${most} bytes`);
  };

export const matching =
  (pattern: RegExp, sentence: string): Parse<string> =>
  (field, value) => {
    const given = string(field, value);
    return pattern.test(given) ? given : refuse(field, `${shown(given)} is not ${sentence}`);
  };

const leadsUp = (value: string): boolean => value.includes("..") && value.split("/").includes("..");

/** Absolute, without "..": its meaning would depend on symbolic links. */
export const path: Parse<string> = (field, value) => {
  const given = string(field, value);
  const good = given.startsWith("/") && !given.includes("\0") && fits(given, MAX_PATH) && !leadsUp(given);
  return good ? given : refuse(field, `${shown(given)} is not an absolute path without ".."`);
};

export const whole =
  (least: number, most: number): Parse<number> =>
  (field, value) =>
    typeof value === "number" && Number.isSafeInteger(value) && value >= least && value <= most
      ? value
      : refuse(field, `${shown(value)} is not a whole number in ${least}..${most}`);

export const flag: Parse<boolean> = (field, value) =>
  typeof value === "boolean" ? value : refuse(field, `${shown(value)} is neither true nor false`);

export const oneOf =
  <T extends string>(names: readonly T[]): Parse<T> =>
  (field, value) =>
    (names as readonly unknown[]).includes(value)
      ? (value as T)
      : refuse(field, `${shown(value)} is none of ${names.join(", ")}`);

export const list =
  <T>(item: Parse<T>, least: number, most: number): Parse<readonly T[]> =>
  (field, value) => {
    if (!Array.isArray(value)) return refuse(field, `${shown(value)} is not a list`);
    if (value.length < least || value.length > most)
      return refuse(field, `${value.length} entries, ${least} to ${most} are possible`);
    /* By index: a hole in a list is an entry, too. */
    const items: T[] = [];
    for (let i = 0; i < value.length; i += 1) items.push(item(`${field}[${i}]`, value[i]));
    return items;
  };

/** A plain object that holds none but these keys. A misspelt option must not be one that is silently absent. */
export const fields = <K extends string>(
  field: string,
  value: unknown,
  known: readonly K[],
): Readonly<Partial<Record<K, unknown>>> => {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return refuse(field, `${shown(value)} is not an object`);
  for (const key of Object.keys(value))
    if (!(known as readonly string[]).includes(key))
      refuse(field, `${shown(key)} is not known here; possible are ${known.join(", ")}`);
  return value as Readonly<Partial<Record<K, unknown>>>;
};

export const entries = <T>(field: string, value: unknown, item: Parse<T>, most: number): readonly [string, T][] => {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return refuse(field, `${shown(value)} is not an object`);
  const all = Object.entries(value as Readonly<Record<string, unknown>>);
  if (all.length > most) refuse(field, `${all.length} entries, at most ${most} are possible`);
  return all.map(([key, one]) => [key, item(field, one)]);
};

export const optional = <T, D>(field: string, value: unknown, parse: Parse<T>, absent: D): T | D =>
  value === undefined ? absent : parse(field, value);
