/** What rules of placement may ask of a host, by path. */
import { HOST_PATHS, HOST_PORTS, HOST_UNCONFINED, isHostPath, type Lookup, type Value } from "@berth/schema";
import type { Attributes } from "./host-index.ts";
import type { HostRecord } from "./state.ts";

type Known = Pick<HostRecord, "id" | "inventory" | "capacity">;

const valuesOf = ({ capacity, id, inventory }: Known): Map<string, Value> => {
  const values = new Map<string, Value>([["host.id", id]]);
  for (const [name, value] of Object.entries(inventory ?? {})) {
    if (typeof value === "object") continue;
    if (isHostPath(`host.${name}`)) values.set(`host.${name}`, value);
  }
  if (inventory?.hostPaths !== undefined) values.set(HOST_PATHS, JSON.stringify(inventory.hostPaths));
  if (inventory?.unconfinedSeccomp === true) values.set(HOST_UNCONFINED, true);
  const ports = capacity?.ports;
  if (ports !== undefined) values.set(HOST_PORTS, `${ports.first}-${ports.last}`);
  for (const [name, value] of Object.entries(inventory?.labels ?? {})) values.set(`host.labels.${name}`, value);
  return values;
};

export const lookupOf = (host: Known): Lookup => {
  const values = valuesOf(host);
  return (path) => values.get(path);
};

export const attributesOf = (host: Known): Attributes => {
  const values = valuesOf(host);
  return { key: JSON.stringify([...values].sort(([a], [b]) => (a < b ? -1 : 1))), lookup: (path) => values.get(path) };
};
