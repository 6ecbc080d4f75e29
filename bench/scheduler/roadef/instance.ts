/** Instances of the ROADEF/EURO challenge 2012, read into the problem that the core solves. Text inside xz: needs `xz`. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import type { Balance, Reassignment } from "../../../packages/scheduler/src/core/rebalance/reassignment.ts";
import { traceFiles, tracesDirectory } from "../traces.ts";

const numbersOf = (file: string): Float64Array => {
  const text = execFileSync("xz", ["-dc", join(tracesDirectory(), "roadef2012", file)], { maxBuffer: 2 ** 30 });
  return Float64Array.from(text.toString("latin1").trim().split(/\s+/), Number);
};

/** Names such as a1_1 and b_3, in order. */
export const instanceNames = (): string[] =>
  traceFiles("roadef2012", /^model_.*\.txt\.xz$/).map((file) => file.slice("model_".length, -".txt.xz".length));

export const readInstance = (name: string): Reassignment => {
  const numbers = numbersOf(`model_${name}.txt.xz`);
  let at = 0;
  const next = (): number => numbers[at++] as number;
  const many = (count: number): Float64Array => {
    at += count;
    return numbers.slice(at - count, at);
  };
  const dimensions = next();
  const held = new Uint8Array(dimensions);
  const loadWeight = new Float64Array(dimensions);
  for (let one = 0; one < dimensions; one += 1) {
    held[one] = next();
    loadWeight[one] = next();
  }
  const hosts = next();
  const [zoneOf, domainOf] = [new Int32Array(hosts), new Int32Array(hosts)];
  const [capacity, comfort] = [new Float64Array(hosts * dimensions), new Float64Array(hosts * dimensions)];
  const pathCost = new Float64Array(hosts * hosts);
  for (let host = 0; host < hosts; host += 1) {
    zoneOf[host] = next();
    domainOf[host] = next();
    capacity.set(many(dimensions), host * dimensions);
    comfort.set(many(dimensions), host * dimensions);
    pathCost.set(many(hosts), host * hosts);
  }
  const groups = next();
  const leastDomains = new Int32Array(groups);
  const needs: number[][] = [];
  for (let group = 0; group < groups; group += 1) {
    leastDomains[group] = next();
    needs.push([...many(next())]);
  }
  const items = next();
  const groupOf = new Int32Array(items);
  const request = new Float64Array(items * dimensions);
  const moveCost = new Float64Array(items);
  for (let item = 0; item < items; item += 1) {
    groupOf[item] = next();
    request.set(many(dimensions), item * dimensions);
    moveCost[item] = next();
  }
  const balances: Balance[] = Array.from({ length: next() }, () => {
    const [over, under, target, weight] = [next(), next(), next(), next()];
    return { over, under, target, weight };
  });
  const [itemWeight, groupMoveWeight, pathWeight] = [next(), next(), next()];
  return {
    ...{ dimensions, hosts, items, groups, capacity, comfort, loadWeight, held, request, groupOf, leastDomains, needs },
    ...{ zoneOf, domainOf, balances, groupMoveWeight, openWeight: 0, maxMoves: items, fixed: new Uint8Array(items) },
    mostPerHost: new Int32Array(groups).fill(1),
    allowed: null,
    moveCost: moveCost.map((cost) => cost * itemWeight),
    pathCost: pathCost.map((cost) => cost * pathWeight),
    first: Int32Array.from(numbersOf(`assignment_${name}.txt.xz`)),
  };
};
