/**
 * Where a container's cgroups are and what is written into them: the larger half of most specs, and the same bytes for every
 * container of a host that has the same limits. So it is encoded once for all of them, as what comes right behind the header.
 */
import { CONTROLLERS, type Hierarchy } from "../cgroup-layout.ts";
import type { Setting } from "../resources/setting.ts";
import { SpecBytes, type Ref } from "./bytes.ts";

export const HEADER_BYTES = 208;

export interface Cgroups {
  readonly parent: string;
  readonly hierarchies: readonly Hierarchy[];
  /** What is written into the container's cgroups, in this order; every `path` is one of `hierarchies`. */
  readonly writes: readonly Pick<Setting, "path" | "file" | "value">[];
}

export interface EncodedCgroups extends Cgroups {
  readonly bytes: Uint8Array;
  /** Of the parent, the hierarchies and the writes. */
  readonly refs: readonly [Ref, Ref, Ref];
}

export const encodeCgroups = (cgroups: Cgroups): EncodedCgroups => {
  const { parent, hierarchies, writes } = cgroups;
  const out = new SpecBytes(HEADER_BYTES);
  const refs = [
    out.text(parent),
    out.list(hierarchies.map((one) => [out.text(one.path), one.version, controllerBits(one)])),
    out.list(
      writes.map(({ path, file, value }) => [
        hierarchies.findIndex((hierarchy) => hierarchy.path === path),
        out.text(file),
        out.text(value),
      ]),
    ),
  ] as const;
  return { ...cgroups, refs, bytes: out.behindHeader() };
};

/** With one hierarchy more. */
export const withHierarchy = (
  { parent, hierarchies, writes }: Cgroups,
  hierarchy: Hierarchy,
  more: Cgroups["writes"],
): EncodedCgroups => encodeCgroups({ parent, hierarchies: [...hierarchies, hierarchy], writes: [...writes, ...more] });

const controllerBits = ({ controllers }: Hierarchy): number =>
  CONTROLLERS.reduce((bits, name, i) => (controllers.includes(name) ? bits | (1 << i) : bits), 0);
