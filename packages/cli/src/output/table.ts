/**
 * Tables without boxes that fit the terminal. Columns keep their natural width while there is room; then those that may
 * shrink give way, widest first; a column that would become unreadable is left out, least important first. Nothing is
 * cut when there is no terminal, or when the caller asks for everything.
 */
import { type Colors, paint, plainLine, type Tone } from "./style.ts";
import { cut, pad, widthOf } from "./width.ts";

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string;
  readonly align?: "left" | "right";
  /** Cells it may be cut down to; without it the column is never cut. */
  readonly shrinkTo?: number;
  /** Left out of narrow terminals, highest first; without it the column always stays. */
  readonly dropOrder?: number;
  readonly tone?: (row: Row) => Tone | undefined;
}

const GAP = 2;

interface Shown<Row> {
  readonly column: Column<Row>;
  readonly cells: readonly string[];
  width: number;
}

const total = (shown: readonly { readonly width: number }[]): number =>
  shown.reduce((sum, one) => sum + one.width, 0) + GAP * Math.max(0, shown.length - 1);

/** The least width the columns can be squeezed into. */
const least = <Row>(shown: readonly Shown<Row>[]): number =>
  total(shown.map((one) => ({ width: Math.min(one.width, one.column.shrinkTo ?? one.width) })));

const fit = <Row>(all: readonly Shown<Row>[], width: number): Shown<Row>[] => {
  let shown = [...all];
  while (least(shown) > width) {
    const drop = shown
      .filter((one) => one.column.dropOrder !== undefined)
      .toSorted((a, b) => (b.column.dropOrder ?? 0) - (a.column.dropOrder ?? 0))[0];
    if (drop === undefined) break;
    shown = shown.filter((one) => one !== drop);
  }
  for (let over = total(shown) - width; over > 0; over -= 1) {
    const widest = shown
      .filter((one) => one.width > (one.column.shrinkTo ?? Number.POSITIVE_INFINITY))
      .toSorted((a, b) => b.width - a.width)[0];
    if (widest === undefined) break;
    widest.width -= 1;
  }
  return shown;
};

/** The whole table with its final newline; `width` undefined means: as wide as it gets. */
export const renderTable = <Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  options: { readonly width: number | undefined; readonly colors: Colors },
): string => {
  const all = columns.map((column): Shown<Row> => {
    const cells = rows.map((row) => plainLine(column.value(row)));
    return { column, cells, width: Math.max(widthOf(column.title), ...cells.map(widthOf)) };
  });
  const shown = options.width === undefined ? all : fit(all, options.width);
  const line = (cellOf: (one: Shown<Row>) => string, toneOf: (one: Shown<Row>) => Tone | undefined): string => {
    const parts = shown.map((one, at) => {
      const { align = "left" } = one.column;
      const text = cut(cellOf(one), one.width);
      const padded = at === shown.length - 1 && align === "left" ? text : pad(text, one.width, align);
      const tone = toneOf(one);
      return tone === undefined ? padded : paint(options.colors, tone, padded);
    });
    // No trailing blanks in what people copy.
    return parts.join(" ".repeat(GAP)).trimEnd();
  };
  const header = line(
    (one) => one.column.title,
    () => undefined,
  );
  const body = rows.map((row, at) =>
    line(
      (one) => one.cells[at] ?? "",
      (one) => one.column.tone?.(row),
    ),
  );
  return `${[options.colors.bold(header), ...body].join("\n")}\n`;
};
