/** From a field error (a JSON pointer, RFC 6901) to the line of the document that it is about. */
import { isAlias, isMap, isNode, isScalar, isSeq, type Pair } from "yaml";
import type { FieldError } from "@berth/schema";
import type { Failure, Place } from "../failure.ts";
import { placeAt, type LoadedDocument } from "./load.ts";

const tokens = (pointer: string): string[] =>
  pointer
    .split("/")
    .slice(1)
    .map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));

const keyOf = (pair: Pair): string => String(isScalar(pair.key) ? pair.key.value : pair.key);
const startOf = (node: unknown): number | undefined => (isNode(node) ? node.range?.[0] : undefined);

/** Where the pointer leads, or the nearest thing around it that exists. A value is better shown by itself, a map by its key. */
const offsetOf = (loaded: LoadedDocument, error: FieldError): number => {
  let node: unknown = loaded.tree.contents;
  let offset = startOf(node) ?? 0;
  const path = tokens(error.pointer);
  for (const [depth, token] of path.entries()) {
    if (isAlias(node)) node = node.resolve(loaded.tree);
    if (isMap(node)) {
      const pair = node.items.find((item) => keyOf(item) === token);
      if (pair === undefined) return offset;
      const key = startOf(pair.key) ?? offset;
      const last = depth === path.length - 1;
      const wantsKey = (last && error.message.startsWith("unknown key")) || isMap(pair.value) || isSeq(pair.value);
      offset = wantsKey ? key : (startOf(pair.value) ?? key);
      node = pair.value;
    } else if (isSeq(node)) {
      const item: unknown = node.items[Number(token)];
      if (item === undefined) return offset;
      offset = startOf(item) ?? offset;
      node = item;
    } else {
      return offset;
    }
  }
  return offset;
};

export const placesOf = (loaded: LoadedDocument, errors: readonly FieldError[]): Place[] => {
  const places = new Map<string, Place>();
  for (const error of errors) {
    const place = placeAt(loaded, offsetOf(loaded, error), error.message);
    // What an alias repeats is wrong in one place.
    places.set(`${place.line}:${place.column} ${place.message}`, place);
  }
  return [...places.values()].toSorted((a, b) => a.line - b.line || a.column - b.column);
};

/** The failure with its field errors shown in the document. */
export const locateIn = (loaded: LoadedDocument, failure: Failure): Failure =>
  failure.fields.length === 0 ? failure : failure.with({ places: placesOf(loaded, failure.fields) });
