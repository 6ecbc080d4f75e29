/**
 * The small language in which a job says which hosts it wants: `host.arch == "x64" && host.labels.gen >= 4`.
 *
 *   either  = both { "||" both }                both   = negated { "&&" negated }
 *   negated = "!" negated | test                test   = value [ ("==" | "!=" | "<" | "<=" | ">" | ">=") value ]
 *   value   = path | text | number | "true" | "false" | "(" either ")" | "has" "(" path ")" | path "in" "[" value, … "]"
 *
 * Texts stand in "…" or '…'. A label is text, and is read as a number where it is compared with one. What a host does not
 * have makes a comparison false, and `!=` true. Types are checked while parsing; errors point at the column.
 */
import { refuseHostPath } from "./host-paths.ts";
import { err, ok, type Result } from "./result.ts";

export type Value = string | number | boolean;
export type Comparison = "==" | "!=" | "<" | "<=" | ">" | ">=";

export type Expression =
  | { readonly kind: "value"; readonly value: Value }
  | { readonly kind: "path"; readonly path: string }
  | { readonly kind: "has"; readonly path: string }
  | { readonly kind: "not"; readonly of: Expression }
  | { readonly kind: "and" | "or"; readonly left: Expression; readonly right: Expression }
  | { readonly kind: "in"; readonly path: string; readonly values: readonly Value[] }
  | LetsMount
  | KeepsPort
  | { readonly kind: "compare"; readonly by: Comparison; readonly left: Expression; readonly right: Expression };

/** No word of the language: what a job asks for that mounts a path of its host. */
export interface LetsMount {
  readonly kind: "lets";
  readonly path: typeof HOST_PATHS;
  readonly project: string;
  readonly source: string;
  readonly readOnly: boolean;
}

/** No word of the language: what a job asks for that says the number of a port. */
export interface KeepsPort {
  readonly kind: "keeps_port";
  readonly path: typeof HOST_PORTS;
  readonly port: number;
}

/** Under this path of its own a host has the ports that it gives to whoever asks for any: `20000-29999`. */
export const HOST_PORTS = "host.ports";

/** Why a host has no port of this number to give; undefined when it has. */
export const whyNoPort = ({ port }: KeepsPort, lookup: Lookup): string | undefined => {
  const range = lookup(HOST_PORTS);
  const [first, last] = String(range ?? "0-0")
    .split("-")
    .map(Number) as [number, number];
  return port < first || port > last ? undefined : `it is one of ${range}, which it gives to whoever asks for any`;
};

/** Under this path of its own, which no expression can name, a host has what it lets jobs mount, as JSON. */
export const HOST_PATHS = "host.paths";

/** A host has it under this path of its own when its operator lets projects that may do without the filter of system calls. */
export const HOST_UNCONFINED = "host.unconfinedSeccomp";

/** Why a host does not let it, as a sentence; undefined when it does, or does not say. */
export const whyNotLet = (mount: LetsMount, lookup: Lookup): string | undefined => {
  const said = lookup(HOST_PATHS);
  return said === undefined ? undefined : refuseHostPath(JSON.parse(String(said)), mount.project, mount);
};

/** What may be asked of a host beside `host.labels.NAME`, and what it is. */
export const HOST_ATTRIBUTES: Readonly<Record<string, "text" | "number">> = {
  "host.id": "text",
  "host.hostname": "text",
  "host.arch": "text",
  "host.os": "text",
  "host.kernel": "text",
  "host.cpuModel": "text",
  "host.cpuCount": "number",
  "host.memoryBytes": "number",
  "host.cgroupVersion": "text",
  "host.agentVersion": "text",
};

export const MAX_EXPRESSION = 512;
const MAX_DEPTH = 32;
const LABEL = /^host\.labels\.[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/;

/** True when hosts may have it: an attribute or a label. */
export const isHostPath = (path: string): boolean => Object.hasOwn(HOST_ATTRIBUTES, path) || LABEL.test(path);

interface Token {
  readonly text: string;
  readonly column: number;
  readonly kind: "word" | "text" | "number" | "sign" | "end";
}

class Wrong extends Error {}
const wrong = (column: number, what: string): never => {
  throw new Wrong(`column ${column}: ${what}`);
};

const PIECES =
  /\s*(?:(?<text>"[^"]*"|'[^']*')|(?<number>-?\d+(?:\.\d+)?)(?![\w.])|(?<word>[A-Za-z_][\w./-]*)|(?<sign>==|!=|<=|>=|&&|\|\||[<>!()[\],]))/y;

const tokens = (source: string): Token[] => {
  const list: Token[] = [];
  const pieces = new RegExp(PIECES);
  while (source.slice(pieces.lastIndex).trim() !== "") {
    const from = pieces.lastIndex;
    const match = pieces.exec(source);
    if (match === null) {
      const column = from + source.slice(from).search(/\S/) + 1;
      const what = String.fromCodePoint(source.codePointAt(column - 1) ?? 32);
      return wrong(column, what === '"' || what === "'" ? "this text has no end" : `"${what}" means nothing here`);
    }
    const { text, number, word, sign } = match.groups ?? {};
    const kind = text !== undefined ? "text" : number !== undefined ? "number" : word !== undefined ? "word" : "sign";
    const found = text ?? number ?? word ?? sign ?? "";
    list.push({ kind, text: found, column: pieces.lastIndex - found.length + 1 });
  }
  list.push({ kind: "end", text: "the end", column: source.length + 1 });
  return list;
};

type Kind = "text" | "number" | "truth" | "label";
interface Typed {
  readonly expression: Expression;
  readonly type: Kind;
  readonly column: number;
}

const COMPARISONS: readonly string[] = ["==", "!=", "<", "<=", ">", ">="];

const parse = (source: string): Expression => {
  const list = tokens(source);
  let at = 0;
  const peek = (): Token => list[at] as Token;
  const next = (): Token => list[at++] as Token;
  const takes = (text: string): boolean => {
    if (peek().kind === "text" || peek().text !== text) return false;
    at += 1;
    return true;
  };
  const expect = (text: string): void => {
    if (!takes(text)) wrong(peek().column, `expected "${text}", found ${peek().text}`);
  };
  const truth = (typed: Typed): Expression =>
    typed.type === "truth"
      ? typed.expression
      : wrong(typed.column, "this is not true or false; compare it with something");

  const pathOf = (token: Token): { readonly path: string; readonly type: Kind } => {
    if (token.kind !== "word" || !isHostPath(token.text)) {
      const known = Object.keys(HOST_ATTRIBUTES).join(", ");
      return wrong(token.column, `"${token.text}" is not known; use host.labels.NAME or one of ${known}`);
    }
    return { path: token.text, type: HOST_ATTRIBUTES[token.text] ?? "label" };
  };

  const literal = (token: Token): Value => {
    if (token.kind === "text") return token.text.slice(1, -1);
    if (token.kind === "number") return Number(token.text);
    return wrong(token.column, `expected a text or a number, found ${token.text}`);
  };

  const value = (depth: number): Typed => {
    const token = next();
    const { column } = token;
    if (token.kind === "text") return { expression: { kind: "value", value: literal(token) }, type: "text", column };
    if (token.kind === "number")
      return { expression: { kind: "value", value: literal(token) }, type: "number", column };
    if (token.text === "(") {
      const inner = either(depth + 1);
      expect(")");
      return { ...inner, column };
    }
    if (token.text === "true" || token.text === "false") {
      return { expression: { kind: "value", value: token.text === "true" }, type: "truth", column };
    }
    if (token.text === "has") {
      expect("(");
      const { path } = pathOf(next());
      expect(")");
      return { expression: { kind: "has", path }, type: "truth", column };
    }
    if (token.kind !== "word") return wrong(column, `expected a value, found ${token.text}`);
    const { path, type } = pathOf(token);
    if (!takes("in")) return { expression: { kind: "path", path }, type, column };
    expect("[");
    const values: Value[] = [];
    do {
      const entry = next();
      const found = literal(entry);
      if (type !== "label" && (type === "number") !== (typeof found === "number"))
        wrong(entry.column, `${path} is a ${type}`);
      values.push(found);
    } while (takes(","));
    expect("]");
    return { expression: { kind: "in", path, values }, type: "truth", column };
  };

  const test = (depth: number): Typed => {
    const left = value(depth);
    const sign = peek();
    if (sign.kind !== "sign" || !COMPARISONS.includes(sign.text)) return left;
    at += 1;
    const right = value(depth);
    const types = new Set([left.type, right.type].filter((type) => type !== "label"));
    if (types.size > 1) wrong(right.column, `a ${left.type} cannot be compared with a ${right.type}`);
    const ordered = sign.text !== "==" && sign.text !== "!=";
    if (ordered && !types.has("number")) wrong(sign.column, `"${sign.text}" compares numbers`);
    const expression: Expression = {
      kind: "compare",
      by: sign.text as Comparison,
      left: left.expression,
      right: right.expression,
    };
    return { expression, type: "truth", column: left.column };
  };

  const negated = (depth: number): Typed => {
    if (depth > MAX_DEPTH) wrong(peek().column, `nested deeper than ${MAX_DEPTH}`);
    const { column } = peek();
    if (!takes("!")) return test(depth);
    return { expression: { kind: "not", of: truth(negated(depth + 1)) }, type: "truth", column };
  };

  const chain = (sign: string, kind: "and" | "or", part: (depth: number) => Typed, depth: number): Typed => {
    let left = part(depth);
    while (takes(sign)) {
      const expression: Expression = { kind, left: truth(left), right: truth(part(depth)) };
      left = { expression, type: "truth", column: left.column };
    }
    return left;
  };
  const both = (depth: number): Typed => chain("&&", "and", negated, depth);
  const either = (depth: number): Typed => chain("||", "or", both, depth);

  const whole = truth(either(0));
  if (peek().kind !== "end") wrong(peek().column, `expected "&&", "||" or the end, found ${peek().text}`);
  return whole;
};

/** The expression, or one sentence that begins with `column N:` (counted from 1). */
export const parseExpression = (source: string): Result<Expression, string> => {
  if (source.length > MAX_EXPRESSION)
    return err(`column ${MAX_EXPRESSION + 1}: longer than ${MAX_EXPRESSION} characters`);
  try {
    return ok(parse(source));
  } catch (error) {
    if (error instanceof Wrong) return err(error.message);
    throw error;
  }
};

const same = (left: Value | undefined, right: Value | undefined): boolean =>
  left !== undefined &&
  right !== undefined &&
  (typeof left === typeof right ? left === right : Number(left) === Number(right) && String(left).trim() !== "");

const compare = (by: Comparison, left: Value | undefined, right: Value | undefined): boolean => {
  if (by === "==") return same(left, right);
  if (by === "!=") return !same(left, right);
  if (left === undefined || right === undefined || left === "" || right === "") return false;
  const [a, b] = [Number(left), Number(right)];
  // Not a number compares with nothing.
  return by === "<" ? a < b : by === "<=" ? a <= b : by === ">" ? a > b : a >= b;
};

/** What a host has under a path, or undefined. */
export type Lookup = (path: string) => Value | undefined;

const valueOf = (expression: Expression, lookup: Lookup): Value | undefined =>
  expression.kind === "path"
    ? lookup(expression.path)
    : expression.kind === "value"
      ? expression.value
      : holds(expression, lookup);

/** Whether it is true of a host. */
export const holds = (expression: Expression, lookup: Lookup): boolean => {
  switch (expression.kind) {
    case "value":
      return expression.value === true;
    case "path":
      return false;
    case "has":
      return lookup(expression.path) !== undefined;
    case "not":
      return !holds(expression.of, lookup);
    case "and":
      return holds(expression.left, lookup) && holds(expression.right, lookup);
    case "or":
      return holds(expression.left, lookup) || holds(expression.right, lookup);
    case "in":
      return expression.values.some((value) => same(lookup(expression.path), value));
    case "lets":
      return whyNotLet(expression, lookup) === undefined;
    case "keeps_port":
      return whyNoPort(expression, lookup) === undefined;
    case "compare":
      return compare(expression.by, valueOf(expression.left, lookup), valueOf(expression.right, lookup));
  }
};

/** Everything of a host that the expression speaks of. */
export const pathsOf = (expression: Expression): Set<string> => {
  switch (expression.kind) {
    case "value":
      return new Set();
    case "path":
    case "has":
    case "in":
    case "lets":
    case "keeps_port":
      return new Set([expression.path]);
    case "not":
      return pathsOf(expression.of);
    case "and":
    case "or":
    case "compare":
      return new Set([...pathsOf(expression.left), ...pathsOf(expression.right)]);
  }
};
