/** A table as the document has it: rows one can open with Enter, columns that step back when the screen is narrow. */
import type { ReactNode } from "react";
import "./table.css";

export interface Column {
  readonly title: string;
  /** Right-aligned numbers. */
  readonly end?: boolean;
  /** The narrowest screen that shows it; without it every screen does. */
  readonly from?: "medium" | "wide";
  readonly grow?: boolean;
}

export const columnClass = (column: Column): string =>
  [
    column.end === true ? "end" : "",
    column.grow === true ? "grow" : "",
    column.from === undefined ? "" : `if-${column.from}`,
  ]
    .filter((name) => name !== "")
    .join(" ");

/** `caption` is for those who cannot see what stands above it. Rows are `<tr>` with cells classed by `columnClass`. */
export const Table = ({
  caption,
  columns,
  children,
}: {
  readonly caption: string;
  readonly columns: readonly Column[];
  readonly children: ReactNode;
}) => (
  <div className="table-frame">
    <table className="table">
      <caption className="visually-hidden">{caption}</caption>
      <thead>
        <tr>
          {columns.map((column) => (
            <th key={column.title} scope="col" className={columnClass(column)}>
              {column.title}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>{children}</tbody>
    </table>
  </div>
);
