/**
 * Who uses which layers: one small file per allocation, written before its container is started and removed once that is
 * gone. Layers that are named here are mounted, whatever became of the image's name meanwhile. After a power cut no
 * container is left, so that none of it needs to be flushed.
 */
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { Type, type Static, decoder } from "@berth/schema";
import { readSealed, writeSealed } from "../files/atomic-file.ts";

const UseSchema = Type.Object({
  image: Type.String(),
  diffIds: Type.Array(Type.String()),
  /** It has copies of them with ids from here on. */
  idBase: Type.Optional(Type.Integer({ minimum: 1 })),
});
export type Use = Static<typeof UseSchema>;
const decode = decoder(UseSchema);

export interface Uses {
  readonly add: (holder: string, use: Use) => Promise<void>;
  readonly remove: (holder: string) => Promise<void>;
  readonly holders: () => ReadonlyMap<string, Use>;
}

export const openUses = async (directory: string): Promise<Uses> => {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const held = new Map<string, Use>();
  const path = (holder: string): string => {
    if (!/^[A-Za-z0-9_-]{1,128}$/.test(holder)) throw new Error(`${holder} is no allocation`);
    return join(directory, `${holder}.json`);
  };
  for (const name of await readdir(directory)) {
    const sealed = name.endsWith(".json") ? await readSealed(join(directory, name)) : { kind: "absent" as const };
    const decoded = sealed.kind === "value" ? decode(sealed.value) : undefined;
    if (decoded?.ok === true) held.set(name.slice(0, -".json".length), decoded.value);
    else await rm(join(directory, name), { force: true });
  }
  return {
    /* Known at once, on disk before whoever asked goes on. */
    add: async (holder, use) => {
      held.set(holder, use);
      await writeSealed(path(holder), use, { durable: false });
    },
    remove: async (holder) => {
      if (!held.delete(holder)) return;
      await rm(path(holder), { force: true });
    },
    holders: () => held,
  };
};
