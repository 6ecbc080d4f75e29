/** Quotas as people write them → as Berth keeps them, with everything that is wrong at once. */
import { DocumentErrors } from "./job-errors.ts";
import { NETWORK, parseBandwidthLimit, WAYS } from "./network.ts";
import { quotaEntries, type Quota, type QuotaChange } from "./project.ts";
import type { FieldError } from "./problem.ts";
import { DIMENSIONS, MAX_FURTHER } from "./resources.ts";
import { err, ok, type Result } from "./result.ts";
import { parseBytes, parseCpuMillis } from "./units.ts";
import { DISK } from "./volume.ts";

/** What a change says of each amount: its new limit, or null for none. */
type Amounts = ReadonlyMap<string, number | null>;

const amountsOf = ({ more = {}, ...change }: QuotaChange): Result<Amounts, FieldError[]> => {
  const errors = new DocumentErrors();
  const amounts = new Map<string, number | null>();
  const take = <T>(
    name: string,
    at: string,
    given: T | null | undefined,
    parse: (text: T) => Result<number, string>,
  ) => {
    if (given === undefined) return;
    amounts.set(name, given === null ? null : errors.take(`/quota/${at}`, parse(given), 0));
  };
  take("tasks", "tasks", change.tasks, ok<number>);
  take("cpuMillis", "cpu", change.cpu, parseCpuMillis);
  take("memoryBytes", "memory", change.memory, parseBytes);
  take("pids", "pids", change.pids, ok<number>);
  for (const [name, amount] of Object.entries(more)) {
    if (name === "tasks" || (DIMENSIONS as readonly string[]).includes(name))
      errors.add(`/quota/more/${name}`, "is limited by its own field");
    else amounts.set(name, amount);
  }
  const own = [
    { name: DISK, at: "disk", given: change.disk, parse: parseBytes },
    ...WAYS.map((way) => {
      const [name, at] = [NETWORK[way], `network/${way}`];
      return { name, at, given: change.network?.[way], parse: parseBandwidthLimit };
    }),
  ];
  for (const { at, given, name, parse } of own) {
    if (given !== undefined && amounts.has(name)) errors.add(`/quota/${at}`, `is said twice, see more.${name}`);
    take(name, at, given, parse);
  }
  return errors.list.length === 0 ? ok(amounts) : err([...errors.list]);
};

/** `quota` with what `change` says of it. */
export const changeQuota = (quota: Quota, change: QuotaChange): Result<Quota, FieldError[]> => {
  const changed = amountsOf(change);
  if (!changed.ok) return changed;
  const all = new Map<string, number | null>([...quotaEntries(quota), ...changed.value]);
  const fixed: Record<string, number> = {};
  const more: Record<string, number> = {};
  for (const [name, amount] of [...all].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    if (amount === null) continue;
    if (name === "tasks" || (DIMENSIONS as readonly string[]).includes(name)) fixed[name] = amount;
    else more[name] = amount;
  }
  if (Object.keys(more).length > MAX_FURTHER) {
    return err([{ pointer: "/quota/more", message: `names more than ${MAX_FURTHER} further dimensions` }]);
  }
  return ok(Object.keys(more).length === 0 ? fixed : { ...fixed, more });
};
