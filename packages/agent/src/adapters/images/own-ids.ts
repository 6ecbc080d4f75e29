/**
 * What a container mounts where mounts cannot map ids: copies of its layers that have its own. Its use of them is noted
 * before the first is made and forgotten before they are removed, so that none is left without anybody who has it.
 */
import type { PreparedImage } from "../../core/images/prepared.ts";
import type { PrepareOptions } from "../../ports/images.ts";
import { collect } from "./collect.ts";
import { explained, isFull } from "./full-disk.ts";
import { inGate, type Parts } from "./parts.ts";
import type { Use } from "./uses.ts";

export interface Wanted {
  readonly holder: string;
  readonly use: Use;
  readonly prepared: PreparedImage;
  /** Bottom first. */
  readonly trees: readonly { readonly diffId: string; readonly from: string }[];
  /** On the file system in question. */
  readonly about: string;
}

/** As it is where mounts can map ids. */
export const withOwnIds = async (
  parts: Parts,
  { about, holder, prepared, trees, use }: Wanted,
  { idBase, signal }: PrepareOptions,
): Promise<PreparedImage> => {
  if (idBase === undefined || !(await parts.shifted.isNeeded(about))) return prepared;
  await inGate(parts, () => parts.uses.add(holder, { ...use, idBase }));
  const copies = new Map<string, string>();
  const copyAll = async (): Promise<void> => {
    for (const tree of trees) copies.set(tree.from, await parts.shifted.copy(idBase, tree, signal));
  };
  try {
    await copyAll();
  } catch (error) {
    // A full disk is cleaned once, whatever the marks say.
    if (signal.aborted || !isFull(error)) throw error;
    if ((await collect(parts, Number.MAX_SAFE_INTEGER)).freedBytes === 0) throw explained(error);
    await copyAll();
  }
  return { ...prepared, layers: prepared.layers.map((layer) => copies.get(layer) ?? layer), shifted: true };
};

export const forgetOwnIds = async (parts: Parts, holder: string): Promise<void> => {
  const remove = await inGate(parts, async () => {
    const use = parts.uses.holders().get(holder);
    if (use?.idBase === undefined) return undefined;
    const { idBase, ...others } = use;
    await parts.uses.add(holder, others);
    // The range may have been given to the next container by now, which has its copies in the same place.
    const isTaken = [...parts.uses.holders().values()].some((other) => other.idBase === idBase);
    return isTaken ? undefined : await parts.shifted.remove(idBase);
  });
  await remove?.();
};
