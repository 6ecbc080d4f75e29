/** What rules of placement may ask of a host, by path. */
import { HOST_PATHS, isHostPath, type Value } from "@berth/schema";
import type { Attributes } from "./host-index.ts";
import type { HostRecord } from "./state.ts";

export const attributesOf = ({ id, inventory }: Pick<HostRecord, "id" | "inventory">): Attributes => {
  const values = new Map<string, Value>([["host.id", id]]);
  for (const [name, value] of Object.entries(inventory ?? {})) {
    if (typeof value === "object") continue;
    if (isHostPath(`host.${name}`)) values.set(`host.${name}`, value);
  }
  if (inventory?.hostPaths !== undefined) values.set(HOST_PATHS, JSON.stringify(inventory.hostPaths));
  for (const [name, value] of Object.entries(inventory?.labels ?? {})) values.set(`host.labels.${name}`, value);
  return { key: JSON.stringify([...values].sort(([a], [b]) => (a < b ? -1 : 1))), lookup: (path) => values.get(path) };
};
