/**
 * Whether what a plan grants of devices is what was asked for, and is there: counted from the grants of the allocations
 * themselves, by name, so that an error in the packer's columns cannot hide here.
 */
import { cpuNumbers, deviceAskText, type Device, type DeviceAsk, type DeviceGrant } from "@berth/schema";
import type { HostRecord } from "./state.ts";

interface Left {
  readonly device: Device;
  readonly amounts: Map<string, number>;
  /** All of its processors. */
  readonly cpus: ReadonlySet<number>;
}

export interface DevicesLeft {
  readonly byKey: ReadonlyMap<string, Left>;
  /** Processors that are somebody's own, of the whole host. */
  readonly taken: Set<number>;
}

const keyOf = ({ kind, id }: { readonly kind: string; readonly id: string }): string => `${kind}/${id}`;
const numbersOf = (list: string | undefined): number[] => (list === undefined ? [] : cpuNumbers(list));

const take = ({ amounts }: Left, name: string, amount: number): Map<string, number> =>
  amounts.set(name, (amounts.get(name) ?? 0) - amount);

/** Takes (1) or gives back (-1). Whatever the host has no more is nobody's; processors count where they are now, if the host says where. */
export const countGrants = ({ byKey, taken }: DevicesLeft, grants: readonly DeviceGrant[], sign: 1 | -1): void => {
  for (const grant of grants) {
    const numbers = numbersOf(grant.cpus);
    for (const cpu of numbers)
      if (sign === 1) taken.add(cpu);
      else taken.delete(cpu);
    for (const one of byKey.values()) {
      const here = numbers.filter((cpu) => one.cpus.has(cpu)).length;
      if (here > 0) take(one, "cpus", sign * here);
    }
    const named = byKey.get(keyOf(grant));
    if (named === undefined) continue;
    for (const [name, amount] of Object.entries(grant.amounts))
      if (name !== "cpus" || numbers.length === 0 || named.device.cpus === undefined) take(named, name, sign * amount);
  }
};

export const devicesLeftOn = (host: HostRecord): DevicesLeft => {
  const byKey = new Map<string, Left>();
  for (const device of host.capacity?.devices ?? []) {
    const cpus = new Set(numbersOf(device.cpus));
    byKey.set(keyOf(device), { device, amounts: new Map(Object.entries(device.has)), cpus });
  }
  const left = { byKey, taken: new Set<number>() };
  for (const { devices = [] } of host.allocations) countGrants(left, devices, 1);
  return left;
};

const matches = (ask: DeviceAsk, grants: readonly DeviceGrant[]): boolean =>
  grants.length === ask.count &&
  new Set(grants.map(({ id }) => id)).size === ask.count &&
  grants.every(({ amounts }) => JSON.stringify(entries(amounts)) === JSON.stringify(entries(ask.each)));

const entries = (amounts: Readonly<Record<string, number>>) =>
  Object.entries(amounts).sort(([a], [b]) => (a < b ? -1 : 1));

/** One sentence for each thing that is wrong with the grants of a task; `named`: processors have been chosen already. */
export const wrongGrants = (
  left: DevicesLeft,
  asks: readonly DeviceAsk[],
  grants: readonly DeviceGrant[],
  named: boolean,
): string[] => {
  const wrong: string[] = [];
  for (const ask of asks) {
    const own = grants.filter(({ kind }) => kind === ask.kind);
    if (!matches(ask, own)) wrong.push(`is not given ${deviceAskText(ask)}`);
    for (const { id, amounts, cpus } of own) {
      const one = left.byKey.get(keyOf({ kind: ask.kind, id }));
      if (one === undefined) {
        wrong.push(`is given ${ask.kind} ${id}, which is not there`);
        continue;
      }
      const { device } = one;
      if (ask.models !== undefined && !ask.models.includes(device.model ?? "")) {
        wrong.push(`is given ${ask.kind} ${id}, which is of another model`);
      }
      for (const [name, amount] of Object.entries(amounts)) {
        if (amount > (one.amounts.get(name) ?? 0))
          wrong.push(`is given more ${name} of ${ask.kind} ${id} than is left`);
      }
      if (!named || device.cpus === undefined || amounts["cpus"] === undefined) continue;
      const numbers = numbersOf(cpus);
      if (numbers.length !== amounts["cpus"] || numbers.some((cpu) => !one.cpus.has(cpu) || left.taken.has(cpu))) {
        wrong.push(`is given processors ${cpus ?? "without numbers"} of ${ask.kind} ${id}, which are not free`);
      }
    }
  }
  const kinds = new Set(asks.map(({ kind }) => kind));
  if (grants.some(({ kind }) => !kinds.has(kind))) wrong.push("is given devices that it has not asked for");
  return wrong;
};

/** The same of a task that is placed, and counts it. `passed`: what is kept for others who do not go before it. */
export const wrongPlaced = (
  left: DevicesLeft,
  passed: readonly DeviceGrant[],
  asks: readonly DeviceAsk[],
  grants: readonly DeviceGrant[],
): string[] => {
  countGrants(left, passed, -1);
  const wrong = wrongGrants(left, asks, grants, true);
  countGrants(left, [...passed, ...grants], 1);
  return wrong;
};
