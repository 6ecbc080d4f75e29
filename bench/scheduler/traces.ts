/** Public traces, read from where they lie; they are never copied into the tree. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { gunzipSync } from "node:zlib";

/** BERTH_TRACES, or ../shared/traces from the project's root. */
export const tracesDirectory = (): string =>
  resolve(process.env["BERTH_TRACES"] ?? join(import.meta.dirname, "../../../shared/traces"));

export const hasTraces = (): boolean => existsSync(tracesDirectory());

/** Names (without directory) of the files in a folder of the traces that match, sorted; none when it is absent. */
export const traceFiles = (folder: string, pattern: RegExp): string[] => {
  const directory = join(tracesDirectory(), folder);
  return existsSync(directory)
    ? readdirSync(directory)
        .filter((name) => pattern.test(name))
        .sort()
    : [];
};

/** Rows of a gzipped CSV with a header, by column name. */
export const readCsv = (folder: string, file: string): Readonly<Record<string, string>>[] => {
  const path = join(tracesDirectory(), folder, file);
  const text = readFileSync(path);
  const [header = "", ...lines] = (file.endsWith(".gz") ? gunzipSync(text) : text).toString("utf8").trim().split("\n");
  const names = header.trim().split(",");
  return lines.map((line) => {
    const cells = line.trim().split(",");
    return Object.fromEntries(names.map((name, at) => [name, cells[at] ?? ""]));
  });
};
