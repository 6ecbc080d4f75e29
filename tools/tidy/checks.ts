/**
 * What linters cannot say about the tree, as pure functions from files to complaints. Each complaint is one line that
 * starts with the path, and says what to do when that is not obvious.
 */

/** Path relative to the root → text. */
export type Files = ReadonlyMap<string, string>;
type Check = (files: Files) => string[];

const MAX_LINES = 400;
const MAX_TEST_LINES = 600;

const isTest = (path: string): boolean => /\.test\.tsx?$|\/(test|testing|fuzz|bench)\//.test(path);
const isScript = (path: string): boolean => /\.(ts|tsx|mts|mjs|js)$/.test(path);
const isSource = (path: string): boolean => isScript(path) || /\.(c|h|cc|css)$/.test(path);
const isMarkdown = (path: string): boolean => path.endsWith(".md");
const isGenerated = (path: string): boolean => /\.gen\.|^docs\/reference\/|(^|\/)pnpm-lock\.yaml$|^LICENSE$/.test(path);
const isThisTool = (path: string): boolean => path.startsWith("tools/tidy");

const each = (
  files: Files,
  wanted: (path: string) => boolean,
  check: (path: string, text: string) => string[],
): string[] => [...files].filter(([path]) => wanted(path)).flatMap(([path, text]) => check(path, text));

const linesWith = (path: string, text: string, pattern: RegExp, message: string): string[] =>
  text.split("\n").flatMap((line, at) => (pattern.test(line) ? [`${path}:${at + 1}: ${message}`] : []));

/** The text with comments blanked out, line numbers kept. Strings are left alone: good enough for what is asked here. */
const code = (text: string): string =>
  text
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, " "))
    .replace(/(^|[\s;{}(),])\/\/[^\n]*/g, "$1");

/** Libraries that only compute. */
const CORE_MAY_IMPORT: ReadonlySet<string> = new Set(["@berth/schema", "typebox", "lru-cache"]);

/** The core decides from its arguments alone: no clock, no randomness, no I/O, nothing of the outer layers. */
export const corePurity: Check = (files) =>
  each(
    files,
    (path) => /^packages\/[^/]+\/src\/core\/.*\.ts$/.test(path) && !isTest(path),
    (path, text) => [
      ...linesWith(
        path,
        code(text),
        /\b(Date\.now|Math\.random|performance\.now|new Date\(\)|process\.|setTimeout|setInterval|fetch\()/,
        "a clock, randomness or the process inside a core: make it a parameter",
      ),
      ...importsOf(withoutTypes(text))
        .filter((name) => !name.startsWith("./") && !name.startsWith("../") && !CORE_MAY_IMPORT.has(name))
        .map((name) => `${path}: a core imports "${name}"; it may import itself, ${[...CORE_MAY_IMPORT].join(", ")}`),
      ...importsOf(text)
        .filter((name) => name.startsWith("../") && !join(path, name).includes("/src/core/"))
        .map((name) => `${path}: a core imports "${name}" from an outer layer`),
    ],
  );

/** Built programs load TypeBox as three files (packages/schema/scripts/bundle-typebox.mjs), if the schema asks for those. */
export const bundledTypebox: Check = (files) =>
  each(
    files,
    (path) => path.startsWith("packages/schema/src/") && !isTest(path),
    (path, text) =>
      importsOf(text)
        .filter((name) => /^typebox(\/|$)/.test(name))
        .map((name) => `${path}: imports "${name}"; the schema imports "#${name}"`),
  );

/** Types leave nothing behind: importing them brings no effect into a core. */
const withoutTypes = (text: string): string => text.replace(/^(import|export) type \{[^}]*\} from [^\n]*$/gm, "");

const importsOf = (text: string): string[] =>
  [...code(text).matchAll(/(?:\bfrom|\bimport|\bimport\(|new URL\(|@import)\s*["'`]([^"'`]+)["'`]/g)].map(
    (match) => match[1] ?? "",
  );

/** `a/b/c.ts` + `../d.ts` → `a/d.ts`. */
const join = (from: string, to: string): string => {
  const parts = from.split("/").slice(0, -1);
  for (const part of to.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "." && part !== "") parts.push(part);
  }
  return parts.join("/");
};

/** Files that something outside the import graph starts: entry points, tests, tools, configuration. */
const isRoot = (path: string): boolean =>
  isTest(path) ||
  /^(scripts|tools|deploy|\.ci)\//.test(path) ||
  /(^|\/)(index|main)\.tsx?$|\.config\.m?[jt]s$|\/(bin|scripts|tools|sim|bench)\/|\.d\.ts$/.test(path) ||
  /^(e2e|bench)\//.test(path);

/** A source file that nothing imports, includes or names is dead. */
export const orphans: Check = (files) => {
  const reached = new Set<string>();
  const mentioned = new Set<string>();
  for (const [path, text] of files) {
    if (isScript(path) || path.endsWith(".css")) {
      for (const name of importsOf(text))
        if (name.startsWith(".")) reached.add(join(path, name.replace(/[?#].*$/, "")));
    }
    if (/\.(c|h|cc)$/.test(path))
      for (const match of text.matchAll(/#include "([^"]+)"/g)) mentioned.add(match[1] ?? "");
    if (/(\.gyp|Makefile|build\.mjs|\.html)$/.test(path)) {
      for (const match of text.matchAll(/[\w./-]+\.(?:cc|c|h|tsx?|css|m?js)\b/g)) mentioned.add(match[0]);
    }
  }
  const isMentioned = (path: string): boolean =>
    [...mentioned].some((name) => path === name || path.endsWith(`/${name.replace(/^(\.{0,2}\/)+/, "")}`));
  const built = (path: string): string => path.replace(/\.tsx?$/, ".js");
  return each(files, isSource, (path) =>
    isRoot(path) || reached.has(path) || reached.has(built(path)) || isMentioned(path)
      ? []
      : [`${path}: nothing imports it; delete it or use it`],
  );
};

/** Work that is left goes into an issue, and the comment names it. */
export const todos: Check = (files) =>
  each(
    files,
    (path) => isSource(path) && !isThisTool(path),
    (path, text) =>
      linesWith(path, text, /\b(TODO|FIXME|XXX|HACK)\b(?!\(#\d+\))/, "work that is left needs its issue: TODO(#12)"),
  );

/** A file is one idea. */
export const lengths: Check = (files) =>
  each(
    files,
    (path) => isSource(path) && !isGenerated(path),
    (path, text) => {
      const count = text.split("\n").length - 1;
      const limit = isTest(path) ? MAX_TEST_LINES : MAX_LINES;
      return count > limit ? [`${path}: ${count} lines, more than ${limit}; it wants to be a folder`] : [];
    },
  );

/** A module starts with what it decides and what it never does. */
export const headers: Check = (files) =>
  each(
    files,
    (path) => /^packages\/[^/]+\/(src|lib)\/.*\.(ts|tsx|c|cc)$/.test(path) && !isTest(path) && !isGenerated(path),
    (path, text) => {
      // A C file is told by its header.
      const told = [text, files.get(path.replace(/\.cc?$/, ".h")) ?? ""];
      return told.some((one) => /^(#!.*\n)?\s*(#pragma once\s*)?\/[*/]/.test(one))
        ? []
        : [`${path}: the module does not say what it is: start it with a comment`];
    },
  );

/** Nothing in the tree knows where packages come from, or where the tree stands. */
export const places: Check = (files) =>
  each(
    files,
    (path) => !isThisTool(path) && path !== "LICENSE",
    (path, text) => [
      ...linesWith(
        path,
        text,
        /\b(registry\.[\w-]+\.(org|com)|npm\.pkg\.[\w-]+\.com|(deb|security)\.[\w-]+\.org|pypi\.org)\b/,
        "names a registry; the machine's own configuration decides that",
      ),
      ...linesWith(path, text, /(^|[\s"'`(=:])\/(home\/\w|work\/\w+\/\w)/, "names a place on somebody's machine"),
      ...linesWith(path, text, /^\s*tarball: https?:/, "the lockfile names a registry"),
    ],
  );

/** Left-overs of debugging. */
export const leftovers: Check = (files) =>
  each(
    files,
    (path) => isScript(path) && !isThisTool(path),
    (path, text) => [
      ...linesWith(path, code(text), /\b(describe|test|it)\.only\(/, "runs only some tests"),
      ...linesWith(path, code(text), /\bdebugger;/, "a breakpoint"),
    ],
  );

const withoutFences = (text: string): string =>
  text.replace(/^(```|~~~)[\s\S]*?^\1/gm, (block) => block.replace(/[^\n]/g, ""));

/** A page has one title, and it is its first line. */
export const titles: Check = (files) =>
  each(files, isMarkdown, (path, text) => {
    const found = withoutFences(text)
      .split("\n")
      .filter((line) => line.startsWith("# ")).length;
    return found === 1 && text.startsWith("# ") ? [] : [`${path}: ${found} titles; a page starts with its one title`];
  });

const slug = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[`*]|\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replaceAll(" ", "-");

/** Links between pages lead somewhere, down to the heading. */
export const links: Check = (files) => {
  const isFolder = (path: string): boolean => [...files.keys()].some((file) => file.startsWith(`${path}/`));
  const anchors = (path: string): Set<string> =>
    new Set(
      withoutFences(files.get(path) ?? "")
        .split("\n")
        .flatMap((line) => /^#+ (.*)$/.exec(line)?.[1] ?? [])
        .map(slug),
    );
  return each(files, isMarkdown, (path, text) =>
    [...withoutFences(text).matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, target = ""]) => {
      if (/^[a-z]+:/.test(target)) return [];
      const [file = "", anchor] = target.split("#");
      const to = file === "" ? path : join(path, file);
      if (!files.has(to) && !isFolder(to)) return [`${path}: link to ${target}, which does not exist`];
      if (anchor !== undefined && isMarkdown(to) && !anchors(to).has(anchor))
        return [`${path}: ${to} has no heading #${anchor}`];
      return [];
    }),
  );
};

/** Every name in `names` stands in backticks on the page. */
export const documented =
  (page: string, what: string, names: (files: Files) => readonly string[]): Check =>
  (files) => {
    const text = files.get(page) ?? "";
    return names(files).flatMap((name) =>
      text.includes(`\`${name}\``) ? [] : [`${page}: ${what} \`${name}\` is not documented`],
    );
  };

/** Names of metrics that the code registers. */
export const metricNames = (files: Files): readonly string[] => [
  ...new Set(
    each(
      files,
      (path) => /^packages\/[^/]+\/src\/.*\.ts$/.test(path) && !isTest(path),
      (_path, text) => [...code(text).matchAll(/["'`](berth_[a-z0-9_]+)["'`]/g)].map((match) => match[1] ?? ""),
    ),
  ),
];
