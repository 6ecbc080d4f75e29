/** What a container has changed of its image: lines of its writable layer, in pages. */
import Type, { type Static } from "#typebox";
import { AllocationIdSchema } from "./ids.ts";

const strict = { additionalProperties: false } as const;
const whole = Type.Integer({ minimum: 0 });

/** Where the next page begins. Opaque: base64url of a path's bytes. */
export const ChangeCursorSchema = Type.String({ pattern: "^[A-Za-z0-9_-]{1,11000}$" });

/** `path` begins with a slash; bytes of it that are not UTF-8 are written `\xNN`, and a backslash is `\\`. */
export const ChangeSchema = Type.Object(
  {
    change: Type.Enum(["added", "changed", "deleted"]),
    path: Type.String(),
    /** What is there now; null when it was deleted. */
    type: Type.Union([Type.Enum(["file", "directory", "symlink", "fifo", "socket", "device"]), Type.Null()]),
    /** Of a file, holes included; 0 for everything else. */
    sizeBytes: whole,
  },
  strict,
);
export type Change = Static<typeof ChangeSchema>;

/**
 * In the order of a walk: a directory before what is in it, names by their bytes. A page says where the next one begins,
 * so that whatever stays as it is meanwhile is told exactly once.
 */
export const ChangeListSchema = Type.Object(
  { changes: Type.Array(ChangeSchema, { maxItems: 1000 }), next: Type.Union([ChangeCursorSchema, Type.Null()]) },
  strict,
);
export type ChangeList = Static<typeof ChangeListSchema>;

export const ChangesRpcSchema = Type.Object(
  {
    kind: Type.Literal("changes"),
    allocation: AllocationIdSchema,
    after: Type.Union([ChangeCursorSchema, Type.Null()]),
  },
  strict,
);
