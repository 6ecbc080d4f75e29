/** The index is checked against a model that keeps every host by itself and scans all of them. */
import {
  parseExpression,
  holds,
  type HostId,
  type JobName,
  type PlacementRules,
  type ProjectName,
} from "@berth/schema";
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { firstShort } from "./feasibility.ts";
import { STRIDE } from "./vector.ts";
import { createDeviceLayout } from "./devices.ts";
import { momentOf } from "./host-ends.ts";
import { createHostIndex, type HostIndex } from "./host-index.ts";
import { createClassTable, type RequestClass } from "./request-class.ts";
import { explainRuled, NO_VALUATION, UNRULED, valuate } from "./score.ts";
import { createScorer } from "./scorer.ts";
import { alone } from "./testing/survey.ts";

const NAMES = ["cpuMillis", "memoryBytes", "pids"];
type Amounts = readonly [number, number, number];
const amounts = (max: number): fc.Arbitrary<Amounts> => fc.tuple(fc.nat(max), fc.nat(max), fc.nat(max));
const padded = (given: ArrayLike<number>): Float64Array => {
  const vector = new Float64Array(STRIDE);
  vector.set(given);
  return vector;
};

const classes = createClassTable(createDeviceLayout());
const classOf = (
  [cpuMillis, memoryBytes, pids]: Amounts,
  name = "job",
  placement?: PlacementRules,
  runTimeoutMs: number | null = null,
): RequestClass =>
  classes.retain(NAMES, {
    ...{ kind: "batch", runTimeoutMs, stopTimeoutMs: 0 },
    requests: { cpuMillis, memoryBytes, pids },
    project: "p" as ProjectName,
    name: name as JobName,
    ...(placement === undefined ? {} : { placement }),
  });

const operation = fc.oneof(
  fc.record({ kind: fc.constant("host" as const), host: fc.nat(6), all: amounts(8), ready: fc.boolean() }),
  fc.record({ kind: fc.constant("book" as const), host: fc.nat(6), request: amounts(3) }),
  fc.record({ kind: fc.constant("free" as const), host: fc.nat(6) }),
  fc.record({ kind: fc.constant("mix" as const), request: amounts(3), quarters: fc.nat(4) }),
  fc.record({ kind: fc.constant("end" as const), host: fc.nat(6), atMs: fc.nat(4_000) }),
);

interface Model {
  all: Amounts;
  ready: boolean;
  booked: RequestClass[];
  ends: number[];
}

const freeOf = (host: Model): Float64Array =>
  padded(host.all.map((amount, at) => amount - host.booked.reduce((sum, { request }) => sum + (request[at] ?? 0), 0)));

const NOW = 1_000;

/** In vectors as long as those of the index: a mean over more places rounds otherwise. */
const scored = (valuation: typeof NO_VALUATION, host: Model, requestClass: RequestClass): number => {
  const scorer = createScorer(valuation, NAMES.length);
  const [free, all] = [freeOf(host), padded(host.all)].map((vector) => vector.slice(0, NAMES.length));
  const found = scorer.explain(alone(valuation, scorer, free as Float64Array, all as Float64Array), 0, requestClass);
  const { lastsMs } = requestClass;
  if (lastsMs === null) return found.total;
  // The mean of how much the shorter of two remaining times is of the longer.
  const left = host.ends.toSorted((a, b) => a - b).map((end) => Math.max(1, end - momentOf(NOW, lastsMs)));
  const sum = left.reduce((total, its) => total + Math.min(its, lastsMs) / Math.max(its, lastsMs), 0);
  const ends = { name: "endsTogether", aligned: left.length === 0 ? 0 : sum / left.length };
  return explainRuled(found, UNRULED, ends).total;
};

it("chooses what a scan of all hosts chooses, and undoing leaves no trace", () => {
  fc.assert(
    fc.property(
      fc.array(operation, { maxLength: 40 }),
      fc.array(fc.tuple(amounts(4), fc.option(fc.integer({ min: 1, max: 3_000 }))), { minLength: 1, maxLength: 40 }),
      fc.integer({ min: 1, max: 4 }),
      (list, asked, limit) => {
        const index = createHostIndex();
        index.setNow(NOW);
        const model = new Map<string, Model>();
        const slot = (host: number): number => index.slotOf(`h${host}` as HostId);
        const of = (host: number): Model => {
          const known = model.get(`h${host}`) ?? { all: [0, 0, 0], ready: false, booked: [], ends: [] };
          model.set(`h${host}`, known);
          return known;
        };
        const wanted = asked.map(([request, limit]) => classOf(request, "job", undefined, limit));
        let valuation = NO_VALUATION;
        let version = 0;
        const expected = (requestClass: RequestClass) =>
          [...model]
            .filter(([, host]) => host.ready && firstShort(freeOf(host), 0, requestClass.request) < 0)
            .map(([hostId, host]) => ({ hostId, score: scored(valuation, host, requestClass) }))
            .sort((a, b) => b.score - a.score || (a.hostId < b.hostId ? -1 : 1))
            .slice(0, limit);
        const check = (): void => {
          for (const requestClass of wanted) {
            const chosen = index.choose(requestClass, limit).map(({ hostId, score }) => ({ hostId, score }));
            expect(chosen).toEqual(expected(requestClass));
          }
        };
        for (const step of list) {
          if (step.kind === "mix") {
            version += 1;
            const largest = [0, 1, 2].map((at) => Math.max(0, ...[...model.values()].map(({ all }) => all[at] ?? 0)));
            const mix = {
              version,
              requests: [{ request: padded(step.request), weight: 1 }],
              returns: step.quarters / 4,
            };
            index.setMix(mix, padded(largest));
            valuation = valuate(mix, padded(largest));
            continue;
          }
          const host = of(step.host);
          if (step.kind === "end") {
            const known = host.ends.indexOf(step.atMs);
            if (known < 0) host.ends.push(step.atMs);
            else host.ends.splice(known, 1);
            index.expect(slot(step.host), { atMs: step.atMs, sinceMs: null }, known < 0 ? 1 : -1);
            check();
            continue;
          }
          if (step.kind === "host") {
            host.all = step.all;
            host.ready = step.ready;
            index.setHost(slot(step.host), padded(step.all), step.ready);
          } else if (step.kind === "book") {
            const requestClass = classOf(step.request);
            host.booked.push(requestClass);
            index.book(slot(step.host), requestClass, 1);
          } else {
            const last = host.booked.pop();
            if (last !== undefined) index.book(slot(step.host), last, -1);
          }
          check();
        }
        const taken: number[] = [];
        const mark = index.mark();
        const first = wanted[0] as RequestClass;
        for (let at = 0; at < 5; at += 1) {
          const best = index.pick(first);
          if (best < 0) break;
          index.book(best, first, 1);
          taken.push(best);
        }
        for (const at of taken.reverse()) index.tryOut(at, first, -1);
        expect(index.mark()).toBe(mark);
        check();
      },
    ),
    { numRuns: 60 },
  );
});

const oneOf = <T>(...values: T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
type Of<K extends keyof PlacementRules> = NonNullable<PlacementRules[K]>;

const rules: fc.Arbitrary<PlacementRules> = fc.record(
  {
    require: oneOf<Of<"require">>(["host.labels.rack != 'r0'"], ["host.labels.gen >= 2"], []),
    spread: oneOf<Of<"spread">>(
      [{ by: "host.labels.rack", maxSkew: 1 }],
      [{ by: "host.labels.rack" }],
      [
        { by: "host.labels.rack", maxSkew: 2 },
        { by: "host.labels.gen", weight: 10 },
      ],
    ),
    maxPerHost: fc.integer({ min: 1, max: 2 }),
    groups: oneOf<Of<"groups">>(["a"], ["b"], ["a", "b"]),
    apart: oneOf<Of<"apart">>(
      [{ group: "a" }],
      [{ group: "b", by: "host.labels.rack" }],
      [
        { group: "a", by: "host.labels.gen" },
        { group: "b", by: "host" },
      ],
    ),
    together: oneOf<Of<"together">>([{ group: "a", by: "host.labels.rack" }], [{ group: "b" }]),
    prefer: oneOf<Of<"prefer">>(
      [{ rule: "host.labels.gen == 3", weight: 60 }],
      [{ rule: "host.labels.rack == 'r1'", weight: -40 }],
    ),
  },
  { requiredKeys: [] },
);

interface Placed {
  readonly job: number;
  readonly host: number;
}

it("keeps every rule, places whenever a host is left, and says which rule stands against the others", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(3), fc.nat(3), fc.integer({ min: 2, max: 12 })), { minLength: 1, maxLength: 9 }),
      fc.array(rules, { minLength: 1, maxLength: 5 }),
      // A host gets other labels now and then.
      fc.array(fc.tuple(fc.nat(4), fc.nat(9), fc.option(fc.tuple(fc.nat(8), fc.nat(3), fc.nat(3)))), { maxLength: 40 }),
      // Of all jobs, if they have one; and ends of what stands on the hosts beside them.
      fc.option(fc.integer({ min: 1, max: 3_000 })),
      fc.array(fc.tuple(fc.nat(8), fc.integer({ min: NOW, max: 4_000 })), { maxLength: 9 }),
      (given, ruleSets, steps, lastsMs, ends) => {
        const hosts = given.map((one) => [...one] as [number, number, number]);
        const setHost = (to: HostIndex, at: number): void => {
          const [rack, gen, cpus] = hosts[at] as [number, number, number];
          const values = new Map<string, string>([["host.labels.gen", String(gen)]]);
          if (rack > 0) values.set("host.labels.rack", `r${rack}`);
          const slot = to.slotOf(`h${at}` as HostId);
          to.setHost(slot, padded([cpus, 9, 9]), true, { key: `${rack}${gen}`, lookup: (path) => values.get(path) });
        };
        const fresh = (): HostIndex => {
          const made = createHostIndex();
          made.setNow(NOW);
          hosts.forEach((_, at) => setHost(made, at));
          for (const [at, atMs] of ends) {
            if (at < hosts.length) made.expect(made.slotOf(`h${at}` as HostId), { atMs, sinceMs: null }, 1);
          }
          return made;
        };
        const index = fresh();
        const rackOf = (host: number): string | undefined =>
          hosts[host]?.[0] === 0 ? undefined : `r${hosts[host]?.[0]}`;
        const labelOf = (host: number, path: string): string | undefined =>
          path.endsWith("rack") ? rackOf(host) : String(hosts[host]?.[1]);
        const asked = ruleSets.map((placement, job) => classOf([2, 1, 1], `j${job}`, placement, lastsMs));
        const placed: Placed[] = [];
        const holdsOf = (host: number, source: string): boolean => {
          const parsed = parseExpression(source);
          return parsed.ok && holds(parsed.value, (path) => labelOf(host, path));
        };
        const inGroup = (group: string) => placed.filter(({ job }) => ruleSets[job]?.groups?.includes(group));
        const room = (host: number): number =>
          (hosts[host]?.[2] ?? 0) - placed.filter((one) => one.host === host).length * 2;
        const may = (job: number, host: number): boolean => {
          const of = ruleSets[job] ?? {};
          const own = placed.filter((one) => one.job === job);
          if (!(of.require ?? []).every((source) => holdsOf(host, source))) return false;
          if (own.filter((one) => one.host === host).length >= (of.maxPerHost ?? Infinity)) return false;
          const share = (other: number, by: string | undefined): boolean =>
            by === undefined || by === "host"
              ? other === host
              : labelOf(host, by) !== undefined && labelOf(other, by) === labelOf(host, by);
          if ((of.apart ?? []).some(({ group, by }) => inGroup(group).some((one) => share(one.host, by)))) return false;
          const keepsApart = ({ job: other, host: there }: Placed): boolean =>
            (ruleSets[other]?.apart ?? []).some(
              ({ group, by }) => of.groups?.includes(group) === true && share(there, by),
            );
          if (placed.some(keepsApart)) return false;
          if (
            (of.together ?? []).some(
              ({ group, by }) => inGroup(group).length > 0 && !inGroup(group).some((one) => share(one.host, by)),
            )
          )
            return false;
          return (of.spread ?? []).every(({ by, maxSkew }) => {
            if (maxSkew === undefined) return true;
            const value = labelOf(host, by);
            if (value === undefined) return false;
            const counts = new Map<string, number>();
            hosts.forEach((_, other) => {
              const name = labelOf(other, by);
              if (name !== undefined && (of.require ?? []).every((source) => holdsOf(other, source)))
                counts.set(name, 0);
            });
            for (const one of own) {
              const name = labelOf(one.host, by) ?? "";
              if (counts.has(name)) counts.set(name, (counts.get(name) ?? 0) + 1);
            }
            return (counts.get(value) ?? 0) + 1 - Math.min(...counts.values()) <= maxSkew;
          });
        };
        for (const [which, remove, relabel] of steps) {
          if (relabel !== null && relabel[0] < hosts.length) {
            const [at, rack, gen] = relabel;
            hosts[at] = [rack, gen, (hosts[at] as (typeof hosts)[number])[2]];
            setHost(index, at);
          }
          const gone = remove < 3 ? placed.splice(remove, 1)[0] : undefined;
          if (gone !== undefined) index.book(gone.host, asked[gone.job] as RequestClass, -1);
          const job = which % asked.length;
          const requestClass = asked[job] as RequestClass;
          const possible = hosts.flatMap((_, host) => (room(host) >= 2 && may(job, host) ? [host] : []));
          const refusalOn = index.refusals(requestClass);
          hosts.forEach((_, host) => {
            expect(refusalOn(host) === undefined).toBe(may(job, host));
            expect(index.refusal(host, requestClass)).toEqual(refusalOn(host));
          });
          const all = index.choose(requestClass, hosts.length);
          expect(all.map(({ slot }) => slot).sort((a, b) => a - b)).toEqual(possible);
          for (const { slot, score } of all) expect(index.explain(slot, requestClass).total).toBeCloseTo(score, 5);
          const slot = index.pick(requestClass);
          expect(slot).toBe(all[0]?.slot ?? -1);
          if (slot < 0) continue;
          index.book(slot, requestClass, 1);
          placed.push({ job, host: slot });
        }
        // As if it had never been otherwise.
        const again = fresh();
        for (const { host, job } of placed) again.book(host, asked[job] as RequestClass, 1);
        for (const one of asked) expect(index.choose(one, hosts.length)).toEqual(again.choose(one, hosts.length));
      },
    ),
    { numRuns: 60 },
  );
});

it("tells work that waits only of growth that can help it", () => {
  const index = createHostIndex();
  const slot = index.slotOf("h1" as HostId);
  index.setHost(slot, padded([4, 4, 4]), true);
  const three = classOf([3, 3, 3]);
  const one = classOf([1, 0, 0]);
  index.book(slot, three, 1);
  index.book(slot, one, 1);
  const mark = index.mark();
  expect(index.grownFor(mark, three)).toBe(false);
  index.book(slot, one, -1);
  expect(index.grownFor(mark, three)).toBe(false);
  index.book(slot, three, -1);
  expect(index.grownFor(mark, three)).toBe(true);
  expect(index.grownFor(index.mark(), three)).toBe(false);
});
