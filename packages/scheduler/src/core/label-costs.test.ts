/** What a label costs that only one job speaks of: counted, since nobody may wait for those that others speak of. */
import type { JobName, PlacementRules, ProjectName } from "@berth/schema";
import { afterEach, expect, it, vi } from "vitest";
import { createDeviceLayout } from "./devices.ts";
import { createHostIndex } from "./host-index.ts";
import { createClassTable, type RequestClass } from "./request-class.ts";
import { Sheet } from "./score-strip.ts";
import { Sheets } from "./sheets.ts";
import { STRIDE } from "./vector.ts";

afterEach(() => vi.restoreAllMocks());

const NAMES = ["cpuMillis", "memoryBytes", "pids"];

const createCell = (hosts: number) => {
  const index = createHostIndex();
  const classes = createClassTable(createDeviceLayout());
  const all = new Float64Array(STRIDE).fill(1_000, 0, NAMES.length);
  for (let host = 0; host < hosts; host += 1) index.setHost(index.slotOf(`h${host}` as never), all, true);
  let reads = 0;
  /** Whoever reads what its rules say is counted. */
  const classOf = (name: string, placement: PlacementRules): RequestClass => {
    const asking = { project: "p" as ProjectName, name: name as JobName, placement };
    const made = classes.retain(NAMES, { ...asking, requests: { cpuMillis: 1, memoryBytes: 1, pids: 1 } });
    const rules = new Proxy(made.rules as NonNullable<RequestClass["rules"]>, {
      get: (target, key) => {
        reads += 1;
        return Reflect.get(target, key) as unknown;
      },
    });
    return { ...made, rules };
  };
  const place = (requestClass: RequestClass): void => {
    const slot = index.pick(requestClass);
    expect(slot).toBeGreaterThanOrEqual(0);
    index.book(slot, requestClass, 1);
  };
  return { classOf, place, reads: () => reads };
};

/** So many jobs, each apart from others by a label of its own. */
const placeAll = (jobs: number, groups: readonly string[]) => {
  const cell = createCell(4);
  for (let at = 0; at < jobs; at += 1) {
    cell.place(cell.classOf(`j${at}`, { groups: [...groups], apart: [{ group: "g", by: `host.labels.l${at}` }] }));
  }
  return cell;
};

it("a label that a job keeps apart by costs the same, however many others there are", () => {
  expect(placeAll(200, []).reads()).toBe(4 * placeAll(50, []).reads());
  const looks = vi.spyOn(Sheet.prototype, "isEmpty");
  placeAll(200, []);
  // Whether the one before is in use, and no other.
  expect(looks.mock.calls.length).toBeLessThanOrEqual(200);
});

it("whoever others keep apart from looks at no label that no host has", () => {
  const sheets = vi.spyOn(Sheets.prototype, "for");
  placeAll(50, ["g"]);
  const places = sheets.mock.calls.map(([check]) => check?.rules.places.length);
  expect(places).toHaveLength(50);
  expect(new Set(places)).toEqual(new Set([1]));
});
