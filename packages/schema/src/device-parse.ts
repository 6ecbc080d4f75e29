/** What a document says of devices and pinning → what the packer is asked for. */
import { CELL_KIND, deviceTotals, MAX_DEVICE_ASKS, WHOLE_DEVICE, type DeviceAsk } from "./devices.ts";
import { KEPT, MAX_COUNTED } from "./counted.ts";
import type { DocumentErrors } from "./job-errors.ts";
import type { JobDocument } from "./job.ts";
import { parseBytes, parseCpuMillis } from "./units.ts";

const AT = "/resources/devices";

type Written = NonNullable<NonNullable<JobDocument["resources"]>["devices"]>[number];

/** Bytes by their unit, everything else as a number. */
const amountOf = (name: string, given: string | number, at: string, errors: DocumentErrors): number => {
  if (name.endsWith("Bytes")) return errors.take(at, parseBytes(given), 0);
  const number = Number(given);
  if (Number.isSafeInteger(number) && number > 0) return number;
  errors.add(at, `must be a whole number above 0, not ${JSON.stringify(given)}`);
  return 1;
};

const askOf = ({ kind, count, share, each, models }: Written, at: string, errors: DocumentErrors): DeviceAsk => {
  const milli = share === undefined ? WHOLE_DEVICE : errors.take(`${at}/share`, parseCpuMillis(share), WHOLE_DEVICE);
  if (milli < 1 || milli > WHOLE_DEVICE)
    errors.add(`${at}/share`, "must be between 1m and 1, which is all of a device");
  const amounts: Record<string, number> = { milli };
  for (const [name, given] of Object.entries(each ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    if (name === "milli") errors.add(`${at}/each/milli`, "is asked for by its own field, share");
    else amounts[name] = amountOf(name, given, `${at}/each/${name}`, errors);
  }
  if (kind === CELL_KIND) errors.add(`${at}/kind`, "is asked for by its own field, see resources.cpu.pin");
  return { kind, count: count ?? 1, each: amounts, ...(models === undefined ? {} : { models: [...models].sort() }) };
};

/** `requested` is what the task asks for of CPUs and memory. Adds totals to `further`. */
export const devicesOf = (
  document: JobDocument,
  requested: { readonly cpuMillis: number; readonly memoryBytes: number },
  further: Record<string, number>,
  errors: DocumentErrors,
): readonly DeviceAsk[] => {
  const { cpu, devices } = document.resources ?? {};
  const asks = (devices ?? []).map((one, at) => askOf(one, `${AT}/${at}`, errors));
  asks.forEach(({ kind }, at) => {
    if (asks.findIndex((other) => other.kind === kind) < at)
      errors.add(`${AT}/${at}/kind`, `${kind} is asked for twice`);
  });
  if (cpu?.pin === true) {
    if (requested.cpuMillis % 1000 !== 0) errors.add("/resources/cpu/request", "must be whole CPUs to be pinned");
    const each = { cpus: Math.max(1, Math.floor(requested.cpuMillis / 1000)), memoryBytes: requested.memoryBytes };
    if (asks.length === MAX_DEVICE_ASKS) errors.add("/resources/cpu/pin", "is one kind of devices too many");
    asks.push({ kind: CELL_KIND, count: 1, each });
  }
  asks.sort((a, b) => (a.kind < b.kind ? -1 : 1));
  for (const [name, amount] of Object.entries(deviceTotals(asks))) {
    if (further[name] !== undefined) errors.add(`/resources/more/${name}`, "is what the devices come to, see devices");
    // A sum may be too large where each of its parts is not.
    if (Number.isSafeInteger(amount)) further[name] = amount;
    else errors.add(AT, `ask for more ${name} in all than can be counted`);
  }
  const others = Object.keys(further).filter((name) => !KEPT.includes(name));
  if (others.length > MAX_COUNTED) {
    const most = `at most ${MAX_COUNTED} amounts beside CPUs, memory, pids, disk, ports and network`;
    errors.add("/resources", `may ask for ${most}, not for ${others.length}: ${others.sort().join(", ")}`);
  }
  return asks;
};
