/**
 * How an error looks: what failed, why, where in the document (with the line itself), and what to try next.
 *
 *     error: The job document is not valid
 *       thumbs.yaml:7:3: unknown key "replica"; did you mean "replicas"?
 *          7 |   replica: 3
 *            |   ^
 *     try: berth run --help
 */
import type { Failure, Place } from "../failure.ts";
import { type Colors, plainLine } from "./style.ts";
import { cut, widthOf } from "./width.ts";

const MAX_SOURCE = 100;

const placeLines = (place: Place, colors: Colors): string[] => {
  const gutter = String(place.line).padStart(6);
  // A tab stays one cell wide, so that the caret stands under its character.
  const source = plainLine(place.source);
  // A long line is shown around the column that is meant.
  const from = place.column > MAX_SOURCE - 20 ? place.column - 40 : 0;
  const before = source.slice(from, place.column - 1);
  const lead = from > 0 ? "…" : "";
  return [
    `  ${place.file}:${place.line}:${place.column}: ${plainLine(place.message)}`,
    colors.dim(`  ${gutter} | `) + cut(lead + source.slice(from), MAX_SOURCE),
    colors.dim(`  ${" ".repeat(gutter.length)} | `) + " ".repeat(widthOf(lead + before)) + colors.red("^"),
  ];
};

export const renderFailure = (failure: Failure, colors: Colors, command: string): string => {
  const lines = [`${colors.red(colors.bold("error:"))} ${plainLine(failure.message)}`];
  // With places or fields the detail only repeats the first of them.
  if (failure.detail !== undefined && failure.places.length === 0 && failure.fields.length === 0) {
    lines.push(...failure.detail.split("\n").map((line) => `  ${plainLine(line)}`));
  }
  for (const place of failure.places) lines.push(...placeLines(place, colors));
  if (failure.places.length === 0) {
    for (const field of failure.fields) {
      lines.push(`  ${field.pointer === "" ? "document" : plainLine(field.pointer)}: ${plainLine(field.message)}`);
    }
  }
  failure.next.forEach((hint, at) => {
    lines.push(
      `${at === 0 ? colors.bold("try:") : "    "} ${hint.replace(/^berth\b/, command).replaceAll("`berth ", `\`${command} `)}`,
    );
  });
  return `${lines.join("\n")}\n`;
};
