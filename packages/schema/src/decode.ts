/**
 * From unknown input to a typed value: the only way anything from outside gets in. Validators are compiled once, at
 * their first use. Errors are field errors with a JSON pointer; an unknown key comes with the nearest known one.
 */
import type { Static, TSchema } from "typebox";
import { Compile } from "typebox/compile";
import { err, ok, type Result } from "./result.ts";
import { problem, type FieldError, type Problem, type ProblemCode } from "./problem.ts";

/** At most this many field errors are returned: a hostile document must not make a large answer. */
const MAX_ERRORS = 32;

interface SchemaError {
  readonly keyword: string;
  readonly instancePath: string;
  readonly message: string;
  readonly params: object;
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
  const limit = Math.max(1, Math.floor(word.length / 3));
  let best: string | undefined;
  let bestDistance = limit + 1;
  for (const candidate of candidates) {
    const d = distance(word.slice(0, 64).toLowerCase(), candidate.toLowerCase(), limit);
    if (d < bestDistance) [best, bestDistance] = [candidate, d];
  }
  return best;
};

const unescape = (token: string): string => token.replaceAll("~1", "/").replaceAll("~0", "~");
const escape = (key: string): string => key.replaceAll("~", "~0").replaceAll("/", "~1");

/** The sub-schema an instance path points into, following properties, items and the object branch of unions. */
const schemaAt = (schema: unknown, path: string): Record<string, unknown> | undefined => {
  let at = schema as Record<string, unknown> | undefined;
  for (const raw of path.split("/").slice(1)) {
    const options = at === undefined ? [] : [at, ...((at["anyOf"] as Record<string, unknown>[] | undefined) ?? [])];
    at = undefined;
    for (const option of options) {
      const properties = option["properties"] as Record<string, Record<string, unknown>> | undefined;
      at ??= properties?.[unescape(raw)] ?? (option["items"] as Record<string, unknown> | undefined);
    }
  }
  return at;
};

const knownKeys = (schema: unknown, path: string): string[] => {
  const at = schemaAt(schema, path);
  const options = at === undefined ? [] : [at, ...((at["anyOf"] as Record<string, unknown>[] | undefined) ?? [])];
  return options.flatMap((option) => Object.keys((option["properties"] as object | undefined) ?? {}));
};

const sentence = (schema: unknown, error: SchemaError): FieldError[] => {
  const params = error.params as {
    additionalProperties?: string[];
    requiredProperties?: string[];
    allowedValues?: unknown[];
  };
  switch (error.keyword) {
    case "additionalProperties": {
      const known = knownKeys(schema, error.instancePath);
      return (params.additionalProperties ?? []).slice(0, MAX_ERRORS).map((key) => {
        const near = suggest(key, known);
        const hint = near === undefined ? `; known keys: ${known.join(", ")}` : `; did you mean "${near}"?`;
        return { pointer: `${error.instancePath}/${escape(key)}`, message: `unknown key "${key.slice(0, 64)}"${hint}` };
      });
    }
    case "required":
      return (params.requiredProperties ?? []).map((key) => ({
        pointer: error.instancePath,
        message: `"${key}" is missing`,
      }));
    case "enum": {
      const allowed = (params.allowedValues ?? []).map(String);
      return [{ pointer: error.instancePath, message: `must be one of ${allowed.join(", ")}` }];
    }
    case "pattern": {
      const rule = schemaAt(schema, error.instancePath)?.["description"];
      const message = typeof rule === "string" ? `does not fit: ${rule}` : error.message;
      return [{ pointer: error.instancePath, message }];
    }
    default:
      return [{ pointer: error.instancePath, message: error.message }];
  }
};

/** Turns raw validation errors (ours or the HTTP framework's) into field errors without echoes of the same place. */
export const fieldErrors = (schema: unknown, errors: readonly SchemaError[]): FieldError[] => {
  // A key that is not allowed is reported twice (once as a schema that is `false`): keep the one that names it.
  const useful = errors.filter((error) => error.keyword !== "boolean");
  // In a union each branch complains: the place is reported once, by its deepest complaint.
  const seen = new Set<string>();
  const result: FieldError[] = [];
  for (const error of useful) {
    if (error.keyword === "anyOf" && [...seen].some((pointer) => pointer.startsWith(error.instancePath))) continue;
    for (const field of sentence(schema, error)) {
      if (seen.has(field.pointer) || result.length >= MAX_ERRORS) continue;
      seen.add(field.pointer);
      result.push(field);
    }
  }
  return result;
};

export type Decoder<T> = (input: unknown) => Result<T, FieldError[]>;

/**
 * A decoder for `schema`, compiled at its first use (so that a page that never decodes needs no code generation);
 * after that a check costs microseconds.
 */
export const decoder = <S extends TSchema>(schema: S): Decoder<Static<S>> => {
  let compiled: ReturnType<typeof Compile<S>> | undefined;
  return (input) => {
    const validator = (compiled ??= Compile(schema));
    if (validator.Check(input)) return ok(input as Static<S>);
    return err(fieldErrors(schema, validator.Errors(input) as unknown as SchemaError[]));
  };
};

/** Parses JSON text and decodes it; both kinds of failure become one problem. `what` names the message in it. */
export const decodeJson = <T>(
  decode: Decoder<T>,
  text: string,
  what: string,
  code: ProblemCode = "message.invalid",
): Result<T, Problem> => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return err(problem(code, `${what} is not JSON: ${error instanceof Error ? error.message : String(error)}`));
  }
  const decoded = decode(value);
  if (decoded.ok) return decoded;
  const first = decoded.error[0];
  const place = first === undefined ? "" : `: ${first.pointer === "" ? "/" : first.pointer} ${first.message}`;
  return err(problem(code, `${what} does not have the expected form${place}`, { errors: decoded.error }));
};
