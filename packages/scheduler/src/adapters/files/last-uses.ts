/** When tokens were used last, beside the scheduler's other files. What cannot be read is forgotten: nothing rests on it. */
import { Type, AccessIdSchema, decodeJson, decoder } from "@berth/schema";
import type { LastUses } from "../../app/last-used.ts";
import { readIfThere, writeFileAtomic } from "./atomic.ts";

const decode = decoder(
  Type.Object(
    { version: Type.Literal(1), uses: Type.Record(AccessIdSchema, Type.Integer({ minimum: 0 })) },
    { additionalProperties: false },
  ),
);

export const lastUsesFile = async (
  path: string,
): Promise<{ readonly known: LastUses; readonly write: (uses: LastUses) => Promise<void> }> => {
  const text = await readIfThere(path);
  const decoded = text === undefined ? undefined : decodeJson(decode, text, path);
  return {
    known: decoded?.ok === true ? decoded.value.uses : {},
    write: (uses) => writeFileAtomic(path, `${JSON.stringify({ version: 1, uses })}\n`, 0o600),
  };
};
