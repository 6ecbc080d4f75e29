/**
 * Why a value does not have its form, for people: each wrong place once, as a JSON pointer and a sentence; an unknown
 * key comes with the nearest known one. Only runs after a check has failed. The work is bounded whatever the value is:
 * a hostile document must make neither a long answer nor a long wait.
 */
import type { TSchema } from "#typebox";
import { Errors } from "#typebox/value";
import type { FieldError } from "./problem.ts";

/** At most this many places are named. */
const MAX_ERRORS = 32;
/** At most this many entries of an array or object are looked at. Larger than any `maxItems` a document meets. */
const MAX_ENTRIES = 2048;
const MAX_DEPTH = 32;

/** What JSON Schema validators report; ours and ajv differ only in `params`. */
export interface SchemaError {
  readonly keyword: string;
  readonly instancePath: string;
  readonly message?: string;
  readonly params: object;
}

interface Node {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Node[];
  readonly items?: Node;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly patternProperties?: Readonly<Record<string, Node>>;
  readonly description?: string;
}

/** Levenshtein distance, stopped at `limit`: for names of a few dozen characters. */
const distance = (a: string, b: string, limit: number): number => {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, change));
    }
    row = next;
  }
  return row[b.length] ?? limit + 1;
};

/** The candidate that was most likely meant, or undefined. */
export const suggest = (word: string, candidates: readonly string[]): string | undefined => {
  const text = word.slice(0, 64).toLowerCase();
  const limit = Math.max(1, Math.floor(text.length / 3));
  let best: string | undefined;
  let bestDistance = limit + 1;
  for (const candidate of candidates) {
    const d = distance(text, candidate.toLowerCase(), limit);
    if (d < bestDistance) [best, bestDistance] = [candidate, d];
  }
  return best;
};

const unescape = (token: string): string => token.replaceAll("~1", "/").replaceAll("~0", "~");
const escape = (key: string): string => key.replaceAll("~", "~0").replaceAll("/", "~1");
const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** True when every property that a branch fixes to constants has one of them in `value`. */
const discriminates = (branch: Node, value: Readonly<Record<string, unknown>>): boolean => {
  const fixed = Object.entries(branch.properties ?? {}).filter(([, at]) => at.const !== undefined || at.enum);
  return (
    fixed.length > 0 &&
    fixed.every(([key, at]) => (at.enum ?? [at.const]).includes(Object.hasOwn(value, key) ? value[key] : undefined))
  );
};

/**
 * The branch of a union that `value` chose with its `kind`, or the only one it can mean, so that complaints are about
 * what was meant and not about every other branch.
 */
const chosenBranch = (branches: readonly Node[], value: unknown): Node | undefined => {
  if (isObject(value)) {
    const chosen = branches.filter((branch) => discriminates(branch, value));
    if (chosen.length === 1) return chosen[0];
  }
  const sameType = branches.filter(
    (branch) => (isObject(value) && branch.type === "object") || (Array.isArray(value) && branch.type === "array"),
  );
  return sameType.length === 1 ? sameType[0] : undefined;
};

/** The sub-schema an instance path points into, following properties, items and the branches of unions. */
const schemaAt = (schema: Node, path: string): Node | undefined => {
  let at: Node | undefined = schema;
  for (const raw of path.split("/").slice(1)) {
    const options: readonly Node[] = at === undefined ? [] : [at, ...(at.anyOf ?? [])];
    at = undefined;
    for (const option of options) {
      const key = unescape(raw);
      at ??=
        (Object.hasOwn(option.properties ?? {}, key) ? option.properties?.[key] : undefined) ??
        option.items ??
        Object.values(option.patternProperties ?? {})[0];
    }
  }
  return at;
};

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf("/"));
const lastOf = (path: string): string => unescape(path.slice(path.lastIndexOf("/") + 1));

const unknownKey = (schema: Node, parent: string, key: string): FieldError => {
  const at = schemaAt(schema, parent);
  const options = at === undefined ? [] : [at, ...(at.anyOf ?? [])];
  const known = [...new Set(options.flatMap((option) => Object.keys(option.properties ?? {})))];
  const near = suggest(key, known);
  const hint =
    near !== undefined ? `; did you mean "${near}"?` : known.length > 0 ? `; known keys: ${known.join(", ")}` : "";
  const what = known.length > 0 ? "unknown key" : "not a possible key:";
  return { pointer: `${parent}/${escape(key)}`, message: `${what} "${key.slice(0, 64)}"${hint}` };
};

const TYPES: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  integer: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "an object",
  null: "null",
};

const sentences = (schema: Node, error: SchemaError): FieldError[] => {
  const { instancePath: pointer, message = "is not valid" } = error;
  const params = error.params as {
    additionalProperties?: readonly string[];
    additionalProperty?: string;
    requiredProperties?: readonly string[];
    missingProperty?: string;
    allowedValues?: readonly unknown[];
    type?: string | readonly string[];
  };
  switch (error.keyword) {
    case "additionalProperties": {
      const keys = params.additionalProperties ?? [params.additionalProperty ?? ""];
      return keys.slice(0, MAX_ERRORS).map((key) => unknownKey(schema, pointer, key));
    }
    // A place whose schema is `false`: a key that is not allowed, reported where it stands.
    case "boolean":
      return pointer === "" ? [{ pointer, message }] : [unknownKey(schema, parentOf(pointer), lastOf(pointer))];
    case "required": {
      const keys = (params.requiredProperties ?? [params.missingProperty ?? ""]).map((key) => `"${key}"`);
      const list = keys.length > 1 ? `${keys.slice(0, -1).join(", ")} and ${keys.at(-1)} are` : `${keys[0]} is`;
      return [{ pointer, message: `${list} missing` }];
    }
    case "enum":
      return [{ pointer, message: `must be one of ${(params.allowedValues ?? []).map(String).join(", ")}` }];
    case "type": {
      const at = schemaAt(schema, pointer);
      const types = at?.anyOf?.flatMap((branch) => branch.type ?? []) ?? [params.type ?? []].flat();
      const names = [...new Set(types.map((type) => TYPES[type] ?? type))];
      return [{ pointer, message: names.length === 0 ? message : `must be ${names.join(" or ")}` }];
    }
    case "pattern": {
      const rule = schemaAt(schema, pointer)?.description;
      return [{ pointer, message: rule === undefined ? message : `does not fit: ${rule}` }];
    }
    default:
      return [{ pointer, message }];
  }
};

/** Turns raw validation errors (ours or the HTTP framework's) into field errors without echoes of the same place. */
export const fieldErrors = (schema: unknown, errors: readonly SchemaError[]): FieldError[] => {
  const seen = new Set<string>();
  const result: FieldError[] = [];
  for (const error of errors) {
    // A union complains after its branches: when one of them said something at or below the place, that is better.
    const at = error.instancePath;
    if (error.keyword === "anyOf" && [...seen].some((pointer) => pointer === at || pointer.startsWith(`${at}/`))) {
      continue;
    }
    for (const field of sentences(schema as Node, error)) {
      if (seen.has(field.pointer) || result.length >= MAX_ERRORS) continue;
      seen.add(field.pointer);
      result.push(field);
    }
  }
  return result;
};

const anything: Node = {};
const allAnything = (of: Readonly<Record<string, Node>>): Record<string, Node> =>
  Object.fromEntries(Object.keys(of).map((key) => [key, anything]));

/** The same schema, but saying nothing of what is inside. */
const shallow = (schema: Node): Node => ({
  ...schema,
  ...(schema.properties === undefined ? {} : { properties: allAnything(schema.properties) }),
  ...(schema.patternProperties === undefined ? {} : { patternProperties: allAnything(schema.patternProperties) }),
  ...(schema.items === undefined ? {} : { items: anything }),
});

/** The first entries of a large array or object: the validator reports on all of them, however many there are. */
const cut = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.slice(0, MAX_ENTRIES);
  if (!isObject(value)) return value;
  const keys = Object.keys(value);
  return keys.length <= MAX_ENTRIES
    ? value
    : Object.fromEntries(keys.slice(0, MAX_ENTRIES).map((key) => [key, value[key]]));
};

/** Level by level, so that the validator's own small error budget is spent anew at each place. */
const walk = (given: Node, value: unknown, path: string, depth: number, found: FieldError[]): void => {
  if (depth > MAX_DEPTH || found.length >= MAX_ERRORS) return;
  const branch = given.anyOf === undefined ? undefined : chosenBranch(given.anyOf, value);
  if (branch !== undefined) return walk(branch, value, path, depth + 1, found);
  const part = cut(value);
  const own = Errors(shallow(given) as TSchema, part) as unknown as SchemaError[];
  for (const { pointer, message } of fieldErrors(given, own)) found.push({ pointer: path + pointer, message });
  if (Array.isArray(part) && given.items !== undefined) {
    for (const [at, item] of part.entries()) walk(given.items, item, `${path}/${at}`, depth + 1, found);
  }
  if (isObject(part)) {
    const other = Object.values(given.patternProperties ?? {})[0];
    for (const [key, item] of Object.entries(part)) {
      const properties = given.properties ?? {};
      const at = Object.hasOwn(properties, key) ? properties[key] : other;
      if (at !== undefined) walk(at, item, `${path}/${escape(key)}`, depth + 1, found);
    }
  }
};

/** Explains why `value`, which failed its check, does not fit `schema`. Never empty. */
export const explain = (schema: unknown, value: unknown): FieldError[] => {
  const found: FieldError[] = [];
  walk(schema as Node, value, "", 0, found);
  return found.length > 0
    ? found.slice(0, MAX_ERRORS)
    : [{ pointer: "", message: "has too many parts, or too many levels" }];
};
