/**
 * From a text frame to a message. The validators of the schema package generate code, which the content security policy
 * forbids, so this checks only what the replica relies on. The server decodes with the schema; this guards against a
 * server of another version and against a proxy that answers in its place.
 */
import type { WatchMessage } from "@berth/schema";

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isRevision = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
const isList = (value: unknown): boolean => Array.isArray(value) && value.every(isObject);
const hasLists = (value: Record<string, unknown>): boolean =>
  isList(value["hosts"]) && isList(value["jobs"]) && isList(value["allocations"]);

const isWellFormed = (value: Record<string, unknown>): boolean => {
  switch (value["kind"]) {
    case "snapshot":
      return isRevision(value["revision"]) && typeof value["cluster"] === "string" && hasLists(value);
    case "delta": {
      const removed = value["removed"];
      return (
        isRevision(value["revision"]) &&
        isRevision(value["previous"]) &&
        hasLists(value) &&
        isObject(removed) &&
        Array.isArray(removed["hosts"]) &&
        isList(removed["jobs"]) &&
        Array.isArray(removed["allocations"])
      );
    }
    case "usage":
      return isObject(value["hosts"]) && isObject(value["allocations"]);
    default:
      // A kind that is newer than this program is no error: it is ignored further on.
      return typeof value["kind"] === "string";
  }
};

/** The message, or undefined when the frame is none. */
export const readMessage = (frame: unknown): WatchMessage | undefined => {
  if (typeof frame !== "string") return undefined;
  let value: unknown;
  try {
    value = JSON.parse(frame);
  } catch {
    return undefined;
  }
  return isObject(value) && isWellFormed(value) ? (value as unknown as WatchMessage) : undefined;
};
