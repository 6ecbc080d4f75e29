import type { ProjectName } from "@berth/schema";
import { describe, expect, it } from "vitest";
import { createUsage, HALF_LIFE_MS } from "./usage.ts";
import { padded } from "./vector.ts";

const ann = "ann" as ProjectName;
const half = padded([500, 100]);

const cluster = () => {
  const usage = createUsage();
  usage.grow(padded([]), padded([1000, 1000]));
  return usage;
};

describe("what a project held lately", () => {
  it("approaches what it holds, and is forgotten by half in each half-life", () => {
    const usage = cluster();
    usage.add(ann, half, 1, 0);
    expect(usage.sharesOf(ann, 0)).toEqual({ now: 0.5, recent: 0 });
    expect(usage.sharesOf(ann, HALF_LIFE_MS)).toEqual({ now: 0.5, recent: 0.25 });
    expect(usage.sharesOf(ann, 2 * HALF_LIFE_MS).recent).toBeCloseTo(0.375, 12);
    usage.add(ann, half, -1, 2 * HALF_LIFE_MS);
    expect(usage.sharesOf(ann, 2 * HALF_LIFE_MS).now).toBe(0);
    expect(usage.sharesOf(ann, 3 * HALF_LIFE_MS).recent).toBeCloseTo(0.1875, 12);
    expect(usage.sharesOf(ann, 5 * HALF_LIFE_MS).recent).toBeCloseTo(0.046875, 12);
  });

  it("is the same however often somebody looks or something changes meanwhile, and goes on from its facts", () => {
    const [often, once] = [cluster(), cluster()];
    for (const usage of [often, once]) usage.add(ann, half, 1, 0);
    for (let step = 1; step <= 16; step += 1) {
      const atMs = (step * HALF_LIFE_MS) / 16;
      often.add(ann, half, 1, atMs);
      often.add(ann, half, -1, atMs);
    }
    expect(often.sharesOf(ann, HALF_LIFE_MS).recent).toBeCloseTo(once.sharesOf(ann, HALF_LIFE_MS).recent, 12);
    const again = createUsage(often.facts());
    again.grow(padded([]), padded([1000, 1000]));
    again.rebook(ann, half);
    expect(again.sharesOf(ann, 2 * HALF_LIFE_MS)).toEqual(often.sharesOf(ann, 2 * HALF_LIFE_MS));
  });

  it("was a part of what there was then, whatever hosts come later", () => {
    const usage = cluster();
    usage.add(ann, half, 1, 0);
    usage.settle(HALF_LIFE_MS);
    usage.grow(padded([]), padded([1000, 1000]));
    expect(usage.sharesOf(ann, HALF_LIFE_MS)).toEqual({ now: 0.25, recent: 0.25 });
  });

  it("counts room that is kept", () => {
    const usage = cluster();
    usage.keep(ann, half, 1);
    expect(usage.sharesOf(ann, 0)).toEqual({ now: 0.5, recent: 0 });
    usage.add(ann, half, 1, 0);
    expect(usage.sharesOf(ann, 0).now).toBe(1);
  });

  it("is nothing any more when it held nothing for very long", () => {
    const usage = cluster();
    usage.add(ann, half, 1, 0);
    usage.add(ann, half, -1, HALF_LIFE_MS);
    usage.add(ann, half, 1, 40 * HALF_LIFE_MS);
    usage.add(ann, half, -1, 40 * HALF_LIFE_MS);
    expect(usage.facts()).toEqual([]);
  });
});
