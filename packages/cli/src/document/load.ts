/**
 * A job document from a file or standard input: bounded, parsed as YAML (of which JSON is a part), with the places of
 * everything in it kept for errors. It decides only whether the text is a document; what it means is the schema's to say.
 */
import { createReadStream } from "node:fs";
import { LineCounter, parseDocument, type Document } from "yaml";
import { problem } from "@berth/schema";
import { Exit, Failure, failureOf, type Place } from "../failure.ts";
import type { Io } from "../io.ts";

/** The API takes no more than this either. */
export const MAX_DOCUMENT_BYTES = 1024 * 1024;
/** Enough for honest reuse; "billion laughs" needs thousands. */
const MAX_ALIASES = 50;
const MAX_PLACES = 8;
/** The parser takes time with the square of the depth; a job document has a depth of five. */
const MAX_DEPTH = 200;

export interface LoadedDocument {
  /** How errors name it: the file as given, or `stdin`. */
  readonly file: string;
  readonly text: string;
  readonly lines: LineCounter;
  readonly tree: Document;
  readonly value: unknown;
}

const tooLarge = (file: string): Failure =>
  failureOf(problem("request.too_large", `${file} is larger than 1 MiB; a job document is a few KiB`)).with({
    next: ["check that it is the right file"],
  });

const readBounded = async (file: string): Promise<Buffer> => {
  const parts: Buffer[] = [];
  let size = 0;
  try {
    for await (const part of createReadStream(file)) {
      size += (part as Buffer).length;
      if (size > MAX_DOCUMENT_BYTES) throw tooLarge(file);
      parts.push(part as Buffer);
    }
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw cannotRead(file, error as NodeJS.ErrnoException);
  }
  return Buffer.concat(parts);
};

const cannotRead = (file: string, error: NodeJS.ErrnoException): Failure => {
  const why: Readonly<Record<string, string>> = {
    ENOENT: "there is no such file",
    EACCES: "you may not read it",
    EISDIR: "it is a directory",
  };
  return new Failure(`Cannot read ${file}`, {
    exit: error.code === "EACCES" ? Exit.forbidden : Exit.notFound,
    detail: why[error.code ?? ""] ?? error.message,
    next: ["ls examples/     (jobs to start from)"],
    cause: error,
  });
};

/** Reads and parses; `-` is standard input. Throws a Failure that shows every broken line. */
export const loadDocument = async (io: Io, file: string): Promise<LoadedDocument> => {
  const name = file === "-" ? "stdin" : file;
  const bytes = file === "-" ? await io.readStdin(MAX_DOCUMENT_BYTES) : await readBounded(file);
  if (bytes === undefined) throw tooLarge(name);
  return parseText(name, bytes);
};

export const parseText = (file: string, bytes: Uint8Array): LoadedDocument => {
  const text = decodeUtf8(file, bytes);
  const lines = new LineCounter();
  const deep = tooDeepAt(text);
  if (deep !== undefined) {
    text.split("\n").reduce((offset, line) => (lines.addNewLine(offset), offset + line.length + 1), 0);
    throw malformed([placeAt({ file, text, lines }, deep, SENTENCES["RESOURCE_EXHAUSTION"] ?? "")]);
  }
  const tree = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true, logLevel: "error" });
  const loaded = { file, text, lines, tree };
  const broken = [...tree.errors, ...tree.warnings];
  if (broken.length > 0) {
    throw malformed(broken.slice(0, MAX_PLACES).map((error) => placeAt(loaded, error.pos[0], sentenceOf(error))));
  }
  if (tree.contents === null) {
    throw new Failure("The job document is empty", {
      exit: Exit.data,
      code: "job.document_malformed",
      detail: `${file} holds no value`,
      next: ["ls examples/     (jobs to start from)"],
    });
  }
  try {
    return { ...loaded, value: tree.toJS({ maxAliasCount: MAX_ALIASES }) as unknown };
  } catch (error) {
    throw malformed([placeAt(loaded, aliasOffset(text), aliasSentence(error))]);
  }
};

const decodeUtf8 = (file: string, bytes: Uint8Array): string => {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new Failure("The job document is not text", {
      exit: Exit.data,
      code: "job.document_malformed",
      detail: `${file} is not valid UTF-8`,
      next: ["check that it is the right file"],
      cause: error,
    });
  }
};

/** Where brackets nest beyond all sense, whatever they stand for; or a line that opens lists in lists in lists. */
const tooDeepAt = (text: string): number | undefined => {
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at];
    if (char === "[" || char === "{") depth += 1;
    else if ((char === "]" || char === "}") && depth > 0) depth -= 1;
    if (depth > MAX_DEPTH) return at;
  }
  const compact = new RegExp(`^ *(?:[-?:] +){${MAX_DEPTH}}`, "m").exec(text);
  return compact?.index;
};

const malformed = (places: readonly Place[]): Failure =>
  failureOf(problem("job.document_malformed", "")).with({
    places,
    next: ["berth plan FILE     (once the lines above are mended)"],
  });

const SENTENCES: Readonly<Record<string, string>> = {
  DUPLICATE_KEY: "this key is already there: a map has each key once",
  MULTIPLE_DOCS: "a second document begins here: one file holds one job",
  TAB_AS_INDENT: "indent with spaces: YAML does not allow tabs here",
  RESOURCE_EXHAUSTION: "nested too deeply",
  TAG_RESOLVE_FAILED: "tags (!…) are not used in job documents",
};

const sentenceOf = (error: { readonly code: string; readonly message: string }): string =>
  SENTENCES[error.code] ?? error.message.replace(/^./, (first) => first.toLowerCase());

const aliasSentence = (error: unknown): string => {
  const message = error instanceof Error ? error.message : String(error);
  if (message.startsWith("Excessive alias count"))
    return `more than ${MAX_ALIASES} uses of aliases: write the values out`;
  const name = /: (\S+)$/.exec(message)?.[1];
  return name === undefined ? message : `the alias *${name} has no anchor &${name} before it`;
};

const aliasOffset = (text: string): number => Math.max(0, text.search(/(?<=[\s[,{:])\*\S/));

/** The line and column of an offset, with the line's text. */
export const placeAt = (
  loaded: Pick<LoadedDocument, "file" | "text" | "lines">,
  offset: number,
  message: string,
): Place => {
  const found = loaded.lines.linePos(Math.min(offset, loaded.text.length));
  const line = Math.max(1, found.line);
  const start = loaded.lines.lineStarts[line - 1] ?? 0;
  const end = loaded.lines.lineStarts[line];
  const source = loaded.text.slice(start, end).replace(/\r?\n$/, "");
  return { file: loaded.file, line, column: Math.max(1, found.col), source, message };
};
