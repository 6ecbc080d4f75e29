/** Devices of simulated hosts and wishes of simulated jobs; and what the checker counts of grants, by itself. */
import type { Device, DeviceAsk, DeviceGrant } from "@berth/schema";
import type { Random } from "./random.ts";

const MODELS = ["A", "B"] as const;

/** A few GPUs of one model, on some hosts attached to cells; and on some cells of processors, not always of the same names. */
export const randomDevices = ({ below, chance, pick }: Random): Device[] => {
  const model = pick(MODELS) ?? "A";
  const gpus = Array.from({ length: below(4) }, (_, at): Device => {
    return {
      kind: "gpu",
      id: `GPU-${at}`,
      model,
      has: { milli: 1000 },
      ...(model === "A" && { cell: String(at % 2) }),
    };
  });
  const cells = Array.from({ length: chance(0.5) ? 1 + below(2) : 0 }, (_, at): Device => {
    const cpus = `${at * 4}-${at * 4 + 3}`;
    return { kind: "numa", id: String((at + gpus.length) % 2), has: { cpus: 4 }, cpus };
  });
  return [...gpus, ...cells];
};

export const randomAsks = ({ below, chance, pick }: Random): DeviceAsk[] => {
  const count = chance(0.3) ? 2 : 1;
  const milli = count > 1 ? 1000 : 100 * (1 + below(10));
  const models = chance(0.3) ? { models: [pick(MODELS) ?? "A"] } : {};
  const asks: DeviceAsk[] = [];
  if (chance(0.4)) asks.push({ kind: "gpu", count, each: { milli }, ...models });
  if (chance(0.15)) asks.push({ kind: "numa", count: 1, each: { cpus: 1 + below(3) } });
  return asks;
};

const nameOf = ({ kind, id }: Pick<Device, "kind" | "id">): string => `${kind} ${id}`;

/** What is wrong with these grants for somebody who asks for this, on a host with these devices. */
export const wronglyGiven = (
  name: string,
  devices: readonly Device[],
  asks: readonly DeviceAsk[],
  grants: readonly DeviceGrant[],
): string[] => {
  const wrong: string[] = [];
  const names = grants.map(nameOf);
  if (new Set(names).size < names.length) wrong.push(`is given ${names.join(", ")}`);
  for (const { count, each, kind, models } of asks) {
    const its = grants.filter((grant) => grant.kind === kind);
    if (its.length !== count) wrong.push(`asks for ${count} ${kind} and has ${its.length}`);
    for (const grant of its) {
      const device = devices.find((one) => nameOf(one) === nameOf(grant));
      if (device === undefined) wrong.push(`has ${nameOf(grant)}, which is not there`);
      if (models !== undefined && !models.includes(device?.model ?? "")) wrong.push(`has the model ${device?.model}`);
      if (JSON.stringify(grant.amounts) !== JSON.stringify(each)) wrong.push(`has another share of ${nameOf(grant)}`);
    }
  }
  if (grants.length > asks.reduce((sum, { count }) => sum + count, 0)) wrong.push("has more than it asks for");
  return wrong.map((what) => `${name} ${what}`);
};

/** Devices of `mine` of which all together have more than there is; and processors of its that others have, by whatever cell. */
export const givenTwice = (
  devices: readonly Device[],
  mine: readonly DeviceGrant[],
  all: readonly (readonly DeviceGrant[])[],
): string[] => {
  const wrong: string[] = [];
  for (const device of devices) {
    if (!mine.some((grant) => nameOf(grant) === nameOf(device))) continue;
    const its = all.flat().filter((grant) => nameOf(grant) === nameOf(device));
    for (const [amount, has] of Object.entries(device.has)) {
      // Whoever has processors by number may have got them of a cell that has another name now.
      if (amount === "cpus" && its.some(({ cpus }) => cpus !== undefined)) continue;
      const sum = its.reduce((total, { amounts }) => total + (amounts[amount] ?? 0), 0);
      if (sum > has) wrong.push(`${nameOf(device)}: ${sum} of ${has} ${amount}`);
    }
  }
  const own = mine.flatMap((grant) => processors(grant.cpus ?? ""));
  const those = all.flat().flatMap((grant) => processors(grant.cpus ?? ""));
  for (const cpu of own) if (those.filter((one) => one === cpu).length > 1) wrong.push(`processor ${cpu} is another's`);
  return wrong;
};

const processors = (list: string): number[] =>
  list
    .split(",")
    .filter((part) => part !== "")
    .flatMap((part) => {
      const [first = 0, last = first] = part.split("-").map(Number);
      return Array.from({ length: last - first + 1 }, (_, at) => first + at);
    });

/** Whether an empty host with these could fulfil them. */
export const couldGive = (devices: readonly Device[], asks: readonly DeviceAsk[]): boolean =>
  asks.every(({ count, each, kind, models }) => {
    const able = devices.filter(
      (one) =>
        one.kind === kind &&
        (models === undefined || models.includes(one.model ?? "")) &&
        Object.entries(each).every(([amount, wanted]) => (one.has[amount] ?? 0) >= wanted),
    );
    return able.length >= count;
  });
