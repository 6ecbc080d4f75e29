/** A host with other labels: what rules say of it is another thing, and of no other host is it asked again. */
import type { HostId, JobName, PlacementRules, ProjectName } from "@berth/schema";
import { describe, expect, it } from "vitest";
import { createDeviceLayout } from "./devices.ts";
import { createHostIndex } from "./host-index.ts";
import { createClassTable, type RequestClass } from "./request-class.ts";
import { STRIDE } from "./vector.ts";

const NAMES = ["cpuMillis", "memoryBytes", "pids"];
type Labels = Readonly<Record<string, string>>;

const createCell = (labels: readonly Labels[]) => {
  const index = createHostIndex();
  const classes = createClassTable(createDeviceLayout());
  let looks = 0;
  const label = (host: number, to: Labels): void => {
    const all = new Float64Array(STRIDE).fill(8, 0, NAMES.length);
    const lookup = (path: string): string | undefined => {
      looks += 1;
      return to[path.replace("host.labels.", "")];
    };
    index.setHost(index.slotOf(`h${host}` as HostId), all, true, { key: JSON.stringify(to), lookup });
  };
  labels.forEach((to, host) => label(host, to));
  const classOf = (placement: PlacementRules): RequestClass => {
    const asking = { project: "p" as ProjectName, name: "j" as JobName, placement };
    return classes.retain(NAMES, { ...asking, requests: { cpuMillis: 1, memoryBytes: 1, pids: 1 } });
  };
  return { index, label, classOf, looks: () => looks };
};

describe("a host with another label", () => {
  it("takes what required it, and does so no longer when it is gone", () => {
    const { classOf, index, label } = createCell([{}, {}]);
    const wants = classOf({ require: ["host.labels.ssd == 'yes'"] });
    expect(index.pick(wants)).toBe(-1);
    label(1, { ssd: "yes" });
    expect(index.pick(wants)).toBe(1);
    label(1, {});
    expect(index.pick(wants)).toBe(-1);
  });

  it("is preferred, and then no more", () => {
    const { classOf, index, label } = createCell([{}, {}]);
    const wants = classOf({ prefer: [{ rule: "host.labels.ssd == 'yes'", weight: 80 }] });
    expect(index.pick(wants)).toBe(0);
    label(1, { ssd: "yes" });
    expect(index.pick(wants)).toBe(1);
    label(1, {});
    expect(index.pick(wants)).toBe(0);
  });

  it("makes its rack one that has to be filled as well", () => {
    const { classOf, index, label } = createCell([{ rack: "a", ssd: "yes" }, { rack: "b" }]);
    const spread = [{ by: "host.labels.rack", maxSkew: 1 }];
    const wants = classOf({ require: ["host.labels.ssd == 'yes'"], spread });
    const hosts = (): number[] => index.choose(wants, 2).map(({ slot }) => slot);
    for (const _ of [1, 2, 3]) index.book(index.pick(wants), wants, 1);
    expect(hosts()).toEqual([0]);
    label(1, { rack: "b", ssd: "yes" });
    expect(hosts()).toEqual([1]);
    // Nobody can fill the other rack any more.
    label(1, { rack: "b" });
    expect(hosts()).toEqual([0]);
  });

  it("makes nobody ask the other hosts again", () => {
    const looksAfter = (hosts: number): number => {
      const all = Array.from({ length: hosts }, (_, at) => ({ rack: `r${at % 3}`, serial: `s${at}` }));
      const { classOf, index, label, looks } = createCell(all);
      const wants = [
        classOf({ require: ["host.labels.serial != 's1'"], spread: [{ by: "host.labels.rack" }] }),
        classOf({ prefer: [{ rule: "host.labels.ssd == 'yes'", weight: 10 }] }),
      ];
      for (const one of wants) index.pick(one);
      const before = looks();
      label(2, { rack: "r2", serial: "s2", ssd: "yes" });
      for (const one of wants) index.pick(one);
      return looks() - before;
    };
    expect(looksAfter(400)).toBe(looksAfter(40));
    expect(looksAfter(40)).toBeLessThan(40);
  });
});
