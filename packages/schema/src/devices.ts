/**
 * Countable things of a host that are not all alike: GPUs and other accelerators, cells of processors and memory (NUMA).
 * Each has whole amounts of its own, so that several tasks may share one: a GPU has 1000 `milli`, a cell has `cpus` and
 * `memoryBytes`. Kinds and amounts are data; nothing but their names tells them apart.
 *
 * Beside that, what all devices of a kind have in all is a further dimension `KIND.AMOUNT` of the host (`gpu.milli`), and a
 * request for devices asks for as much of it: totals, quotas and shares need to know nothing of devices.
 */
import Type, { type Static } from "#typebox";

const strict = { additionalProperties: false } as const;

export const DEVICE_KIND = "^[a-z][a-z0-9]{0,11}$";
const DEVICE_AMOUNT = "^[a-z][A-Za-z0-9]{0,15}$";
export const DeviceKindSchema = Type.String({ pattern: DEVICE_KIND });
/** What tells devices of a kind apart on their host: an index, a UUID, a PCI address. */
export const DeviceIdSchema = Type.String({ pattern: "^[A-Za-z0-9][A-Za-z0-9:._-]{0,63}$" });
export const DeviceModelSchema = Type.String({ pattern: "^[A-Za-z0-9][A-Za-z0-9 ._/+-]{0,63}$" });
/** As in cpuset(7): `0-3,8`. */
const CpuListSchema = Type.String({
  pattern: "^[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?)*$",
  maxLength: 1024,
});
/** Linux knows no more (CONFIG_NR_CPUS). */
const MAX_CPUS = 8_192;

const amount = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const amounts = Type.Record(Type.String({ pattern: DEVICE_AMOUNT }), amount, {
  additionalProperties: false,
  maxProperties: 4,
});

/** Shares of one device are thousandths of it. */
export const WHOLE_DEVICE = 1000;
/** The kind of the cells of processors, and what pinning books of one. */
export const CELL_KIND = "numa";
export const MAX_DEVICES = 64;
/** How many kinds of devices one task may ask for. */
export const MAX_DEVICE_ASKS = 4;

export const DeviceSchema = Type.Object(
  {
    kind: DeviceKindSchema,
    id: DeviceIdSchema,
    model: Type.Optional(DeviceModelSchema),
    has: amounts,
    /** Its processors, of which as many as it has `cpus` are given out by number. */
    cpus: Type.Optional(CpuListSchema),
    /** Id of the cell (CELL_KIND) that it is attached to, also where the host gives out no cells. */
    cell: Type.Optional(DeviceIdSchema),
  },
  strict,
);
export type Device = Static<typeof DeviceSchema>;

/** `count` different devices of a kind, of each of them so much; of one of these models, when some are named. */
export const DeviceAskSchema = Type.Object(
  {
    kind: DeviceKindSchema,
    count: Type.Integer({ minimum: 1, maximum: MAX_DEVICES }),
    each: amounts,
    models: Type.Optional(Type.Array(DeviceModelSchema, { minItems: 1, maxItems: 16 })),
  },
  strict,
);
export type DeviceAsk = Static<typeof DeviceAskSchema>;

/** What an allocation has of one device. */
export const DeviceGrantSchema = Type.Object(
  {
    kind: DeviceKindSchema,
    id: DeviceIdSchema,
    amounts,
    /** The processors that are its own, of a device that has them. */
    cpus: Type.Optional(CpuListSchema),
  },
  strict,
);
export type DeviceGrant = Static<typeof DeviceGrantSchema>;
export const DeviceGrantsSchema = Type.Array(DeviceGrantSchema, { maxItems: MAX_DEVICES });

/** The further dimension in which devices of a kind are counted together. */
export const deviceTotal = (kind: string, name: string): string => `${kind}.${name}`;

/** What is asked for, or had, in all: by further dimension. */
export const deviceTotals = (
  devices: readonly {
    readonly kind: string;
    readonly count: number;
    readonly each: Readonly<Record<string, number>>;
  }[],
): Record<string, number> => {
  const totals: Record<string, number> = {};
  for (const { kind, count, each } of devices) {
    for (const [name, one] of Object.entries(each)) {
      const total = deviceTotal(kind, name);
      totals[total] = (totals[total] ?? 0) + count * one;
    }
  }
  return totals;
};

/** `2 gpu (A100 or H100)`, `gpu with 500 milli`. */
export const deviceAskText = ({ kind, count, each, models }: DeviceAsk): string => {
  const isWhole = Object.entries(each).every(([name, one]) => name === "milli" && one === WHOLE_DEVICE);
  const of = Object.entries(each).map(([name, one]) => `${one} ${name}`);
  const number = count === 1 ? kind : `${count} ${kind}`;
  return `${number}${isWhole ? "" : ` with ${of.join(" and ")}`}${models === undefined ? "" : ` of model ${models.join(" or ")}`}`;
};

/** The numbers of a list, ascending. Whatever somebody writes: of no more than a machine can have. */
export const cpuNumbers = (list: string): number[] => {
  const numbers = new Set<number>();
  let left = MAX_CPUS;
  for (const part of list.split(",")) {
    const [first = 0, last = first] = part.split("-").map(Number);
    for (let cpu = first; cpu <= last && left > 0; cpu += 1, left -= 1) numbers.add(cpu);
  }
  return [...numbers].sort((a, b) => a - b);
};

/** What is wrong with the devices that a host says it has, or undefined. */
export const devicesFault = (devices: readonly Device[]): string | undefined => {
  const seen = new Set<string>();
  const owners = new Map<number, string>();
  for (const { kind, id, has, cpus } of devices) {
    const name = `${kind}:${id}`;
    if (seen.has(name)) return `it has two devices ${name}; every device needs an id of its own`;
    seen.add(name);
    if (cpus === undefined) continue;
    const listed = cpuNumbers(cpus);
    if (listed.length < (has["cpus"] ?? 0)) {
      return `${name} has ${has["cpus"]} processors but names ${listed.length} (${cpus})`;
    }
    for (const cpu of listed) {
      const owner = owners.get(cpu);
      if (owner !== undefined) return `${owner} and ${name} both have processor ${cpu}; each is of one of them`;
      owners.set(cpu, name);
    }
  }
  return undefined;
};

/** The list of ascending numbers: `0-3,8`. */
export const cpuList = (numbers: readonly number[]): string => {
  const parts: string[] = [];
  for (let at = 0; at < numbers.length;) {
    let end = at;
    while (numbers[end + 1] === (numbers[end] as number) + 1) end += 1;
    parts.push(end === at ? String(numbers[at]) : `${numbers[at]}-${numbers[end]}`);
    at = end + 1;
  }
  return parts.join(",");
};
