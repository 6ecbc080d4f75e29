/**
 * The rebalancer's search on the machine reassignment instances of the ROADEF/EURO challenge 2012, beside what a top-ranked
 * entry (S41) published after 300 s. Every arrangement is checked, and its objective computed anew, by code that shares
 * nothing with the search.
 */
import { join } from "node:path";
import { readFileSync } from "node:fs";
import { check } from "./roadef/checker.ts";
import { instanceNames, readInstance } from "./roadef/instance.ts";
import { solve, type Clock } from "./roadef/solve.ts";
import { tracesDirectory } from "./traces.ts";

export interface RoadefRow {
  readonly instance: string;
  readonly start: number;
  readonly objective: number;
  readonly published: number;
  /** Percent above what was published; below 0: better. */
  readonly overPercent: number;
  readonly targetPercent: number;
  readonly triesPerSecond: number;
}

const published = (): Map<string, number> =>
  new Map(
    readFileSync(join(tracesDirectory(), "roadef2012_s41_results.csv"), "utf8")
      .trim()
      .split("\n")
      .slice(1)
      .map((line): [string, number] => {
        const [name = "", objective = ""] = line.trim().toLowerCase().split(",");
        return [name, Number(objective)];
      }),
  );

/** `only`: names such as a1_4; none: all that are held here. */
export function* roadefRows(seconds: number, clock: Clock, only: readonly string[]): Generator<RoadefRow> {
  const others = published();
  for (const instance of instanceNames()) {
    const other = others.get(instance);
    if (other === undefined || (only.length > 0 && !only.includes(instance))) continue;
    const problem = readInstance(instance);
    const { hostOf, tries } = solve(problem, seconds, clock, 1);
    const objective = check(problem, hostOf);
    yield {
      instance,
      start: check(problem, problem.first),
      objective,
      published: other,
      overPercent: (objective / other - 1) * 100,
      targetPercent: instance.startsWith("a") ? 1 : 3,
      triesPerSecond: Math.round(tries / seconds),
    };
  }
}
