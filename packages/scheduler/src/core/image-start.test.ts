import { describe, expect, test } from "vitest";
import type { HostId, ImageStart } from "@berth/schema";
import { IMAGE_WEIGHT } from "./choose-for-image.ts";
import { dryRun, why, whyNot, type ImageSight } from "./index.ts";
import { soonness } from "./image-start.ts";
import type { RequestClass } from "./request-class.ts";
import { inside } from "./state.ts";
import { host, makeSpec, resources, unwrap, World } from "./testing/world.ts";

const image = "oci://registry.lan/app:1";
const HERE: ImageStart = { from: "here", fetchBytes: 0, startMs: 0 };
const PULL: ImageStart = { from: "registry", fetchBytes: 120 * 2 ** 20, startMs: 6_000 };

/** Only these hosts have it; others as `other` says. */
const sight = (holders: readonly string[], other: (id: HostId) => ImageStart = () => PULL): ImageSight => {
  const ids = holders.map(host);
  const need = { holders: ids, startOn: (id: HostId) => (ids.includes(id) ? HERE : other(id)) };
  return { of: (name) => (name === image ? need : undefined) };
};
const small = resources(1000, 1024, 10);
const cluster = (count: number): World => {
  const world = new World();
  for (let at = 0; at < count; at += 1) world.host(`h${String(at).padStart(2, "0")}`, resources(4000, 8192));
  return world;
};
const hostsOf = (lines: readonly string[]): string[] => lines.map((line) => /→ (\S+)/.exec(line)?.[1] ?? line);

describe("a task goes where its image is", () => {
  test("among hosts that pack as well, also when it is not among those that would be looked at first", () => {
    const world = cluster(40);
    world.submit(makeSpec("app", { image, requests: small }));
    expect(hostsOf(world.plan(1000, sight(["h37"])))).toEqual(["h37"]);
  });

  test("not when another host packs much better, or it does not fit there", () => {
    const world = cluster(3);
    world.submit(makeSpec("first", { requests: resources(3000, 6144, 10) }));
    expect(hostsOf(world.plan())).toEqual(["h00"]);
    world.submit(makeSpec("app", { image, requests: small }));
    expect(hostsOf(world.plan(1000, sight(["h02"])))).toEqual(["h00"]);
    world.submit(makeSpec("large", { image, requests: resources(4000, 8192, 10) }));
    expect(hostsOf(world.plan(1000, sight(["h00"])))).toEqual(["h01"]);
  });

  test("and where most of it is, when nobody with room has all of it", () => {
    const world = cluster(3);
    const most = (id: HostId): ImageStart => (id === "h01" ? { ...PULL, fetchBytes: 2 ** 20, startMs: 200 } : PULL);
    world.submit(makeSpec("app", { image, requests: small }));
    expect(hostsOf(world.plan(1000, sight(["gone"], most)))).toEqual(["h01"]);
    // Whoever has it and is no host of the cluster becomes none by that.
    expect(inside(world.state).index.inOrder()).toHaveLength(3);
  });

  test("without asking others how soon they could start, where that could not be better", () => {
    const asked = new Set<HostId>();
    const world = cluster(40);
    world.submit(makeSpec("app", { image, count: 2, requests: small }));
    const other = (id: HostId): ImageStart => (asked.add(id), PULL);
    expect(hostsOf(world.plan(1000, sight(["h37"], other)))).toEqual(["h37", "h37"]);
    // The one that packs best, which might have been as good.
    expect([...asked]).toEqual(["h00"]);
    // Some that pack worse may start at once for all that is known: as many as could make up for it are asked.
    asked.clear();
    world.submit(makeSpec("far", { image, requests: resources(3000, 6144, 10) }));
    const soon = (id: HostId): ImageStart => (other(id), id === "h03" ? { ...PULL, startMs: 10 } : PULL);
    expect(hostsOf(world.plan(1000, sight(["gone"], soon)))).toEqual(["h03"]);
    expect(asked.size).toBe(8);
  });

  test("and it is the first of those that are told, however many", () => {
    const world = cluster(12);
    const spec = makeSpec("app", { image, requests: small });
    world.submit(spec);
    const state = inside(world.state);
    const { requestClass } = state.jobs.get("media/app" as never) as { requestClass: RequestClass };
    const need = sight(["h11", "h10"]).of(image);
    for (const limit of [1, 2, 12]) {
      expect(state.index.choose(requestClass, limit, need)[0]).toEqual(state.index.choose(requestClass, 1, need)[0]);
    }
    expect(state.index.choose(requestClass, 2, need).map(({ hostId }) => hostId)).toEqual(["h10", "h11"]);
    expect(state.index.idOf(state.index.pick(requestClass, need))).toBe("h10");
  });

  test("within its rules of placement", () => {
    const world = cluster(3);
    world.submit(makeSpec("app", { image, count: 3, requests: small, placement: { maxPerHost: 1 } }));
    expect(hostsOf(world.plan(1000, sight(["h02"]))).toSorted()).toEqual(["h00", "h01", "h02"]);
    world.submit(makeSpec("far", { image, requests: small, placement: { require: ['host.id != "h02"'] } }));
    expect(hostsOf(world.plan(1000, sight(["h02"])))).toEqual(["h00"]);
  });

  test("and nothing changes for others, or while nothing is known", () => {
    const lines = [sight(["h02"]), undefined].map((images) => {
      const world = cluster(3);
      world.submit(makeSpec("other", { requests: small, count: 5 }));
      return world.plan(1000, images);
    });
    expect(lines[0]).toEqual(lines[1]);
  });
});

describe("what is told of it", () => {
  test("a plan predicts the start on each host, and says what of the score it is", () => {
    const world = cluster(2);
    const spec = makeSpec("app", { image, count: 2, requests: small, placement: { maxPerHost: 1 } });
    const env = { nowMs: world.nowMs, makeAllocationId: world.makeAllocationId, images: sight(["h01"]) };
    const { tasks } = unwrap(dryRun(world.state, spec, env));
    expect(tasks.map(({ sentence }) => sentence)).toEqual([
      "media/app[0] would be placed on h01, which has its image",
      "media/app[1] would be placed on h00, which pulls 120 MiB of its image first, about 6s",
    ]);
    const [first, second] = tasks.map(({ outcome }) => (outcome.kind === "placed" ? outcome : undefined));
    expect([first?.image, second?.image]).toEqual([HERE, PULL]);
    expect(first?.score.parts).toContainEqual({ name: "image", value: 1, weight: IMAGE_WEIGHT });
    const sum = (first?.score.parts ?? []).reduce((all, { value, weight }) => all + value * weight, 0);
    expect(first?.score.total).toBeCloseTo(sum, 5);
    expect(first?.runnersUp[0]?.score.parts).toContainEqual({ name: "image", value: 0.625, weight: IMAGE_WEIGHT });
  });

  test("why and why-not say the same", () => {
    const world = cluster(2);
    world.submit(makeSpec("app", { image, requests: small }));
    const from = sight(["gone"], () => ({ from: "cluster", fetchBytes: 5 * 2 ** 20, startMs: null }));
    const { sentence } = unwrap(why(world.state, "media" as never, "app" as never, 0, world.nowMs, from));
    expect(sentence).toBe(
      "media/app[0] would be placed on h00, which fetches 5 MiB of its image from another host first",
    );
    const other = unwrap(whyNot(world.state, "media" as never, "app" as never, 0, host("h01"), world.nowMs, from));
    expect(other.score?.parts.at(-1)).toMatchObject({ name: "image", weight: IMAGE_WEIGHT });
  });

  test("sooner is better, and what was not measured is guessed by its size", () => {
    const after = (startMs: number | null, fetchBytes = 2 ** 24): number =>
      soonness({ from: "registry", fetchBytes, startMs });
    expect([soonness(HERE), after(10_000)]).toEqual([1, 0.5]);
    expect(after(1_000)).toBeGreaterThan(after(2_000));
    expect(after(null)).toBeCloseTo(after(1_000), 6);
  });
});
