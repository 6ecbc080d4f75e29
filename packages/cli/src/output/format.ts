/**
 * The five shapes every listing verb can print: a table for people, the same with everything in it, the API's own
 * document as JSON or YAML for programs, and bare names for `$(…)`.
 */
import { stringify } from "yaml";
import type { Io } from "../io.ts";
import { type Column, renderTable } from "./table.ts";
import { plainLine } from "./style.ts";

export const FORMATS = ["table", "wide", "json", "yaml", "name"] as const;
export type Format = (typeof FORMATS)[number];

/** A document as JSON or YAML text, as the API gave it. */
export const documentText = (format: "json" | "yaml", document: unknown): string =>
  format === "json" ? `${JSON.stringify(document, null, 2)}\n` : stringify(document, { lineWidth: 0 });

export interface Listing<Row> {
  /** What JSON and YAML show. */
  readonly document: unknown;
  readonly rows: readonly Row[];
  readonly columns: readonly Column<Row>[];
  /** More columns for `-o wide`. */
  readonly wide?: readonly Column<Row>[];
  readonly name: (row: Row) => string;
  /** Said on stderr when there is no row. */
  readonly empty: string;
}

export const printListing = async <Row>(io: Io, format: Format, listing: Listing<Row>): Promise<void> => {
  if (format === "json" || format === "yaml") {
    await io.out.write(documentText(format, listing.document));
    return;
  }
  if (listing.rows.length === 0) {
    await io.err.write(`${listing.empty}\n`);
    return;
  }
  if (format === "name") {
    await io.out.write(listing.rows.map((row) => `${plainLine(listing.name(row))}\n`).join(""));
    return;
  }
  const columns = format === "wide" ? [...listing.columns, ...(listing.wide ?? [])] : listing.columns;
  const width = format === "wide" ? undefined : io.out.columns();
  await io.out.write(renderTable(columns, listing.rows, { width, colors: io.out.colors }));
};

/** Prints one document: as it is for programs, by `text` for people, `name` alone for `$(…)`. */
export const printDocument = async (
  io: Io,
  format: Format,
  one: { readonly document: unknown; readonly name: string; readonly text: (width: number | undefined) => string },
): Promise<void> => {
  if (format === "json" || format === "yaml") await io.out.write(documentText(format, one.document));
  else if (format === "name") await io.out.write(`${one.name}\n`);
  else await io.out.write(one.text(format === "wide" ? undefined : io.out.columns()));
};
