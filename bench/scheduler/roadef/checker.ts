/** The rules and the objective as the challenge words them, from scratch and sharing nothing with the search. */
import type { Reassignment } from "../../../packages/scheduler/src/core/rebalance/reassignment.ts";

/** Throws where a rule is broken; returns the objective. */
export const check = (problem: Reassignment, hostOf: Int32Array): number => {
  const { dimensions, hosts, items, groups, groupOf, first, request, capacity, held } = problem;
  const used = Array.from({ length: hosts }, () => Array.from({ length: dimensions }, () => 0));
  const leftBehind = Array.from({ length: hosts }, () => Array.from({ length: dimensions }, () => 0));
  const places = Array.from({ length: groups }, () => [] as number[]);
  const fail = (what: string): never => {
    throw new Error(`the arrangement breaks a rule: ${what}`);
  };
  for (let item = 0; item < items; item += 1) {
    const [host, home] = [hostOf[item] as number, first[item] as number];
    for (let at = 0; at < dimensions; at += 1) {
      const amount = request[item * dimensions + at] as number;
      (used[host] as number[])[at] = ((used[host] as number[])[at] as number) + amount;
      if (host !== home && held[at] === 1) {
        (leftBehind[home] as number[])[at] = ((leftBehind[home] as number[])[at] as number) + amount;
      }
    }
    (places[groupOf[item] as number] as number[]).push(host);
  }
  let cost = 0;
  for (let host = 0; host < hosts; host += 1) {
    const left = (at: number): number =>
      (capacity[host * dimensions + at] as number) - ((used[host] as number[])[at] as number);
    for (let at = 0; at < dimensions; at += 1) {
      if (left(at) < ((leftBehind[host] as number[])[at] as number)) fail(`capacity of host ${host} in ${at}`);
      const over = ((used[host] as number[])[at] as number) - (problem.comfort[host * dimensions + at] as number);
      cost += (problem.loadWeight[at] as number) * Math.max(0, over);
    }
    for (const { over, under, target, weight } of problem.balances) {
      cost += weight * Math.max(0, target * left(over) - left(under));
    }
  }
  const zonesOf = places.map((list) => new Set(list.map((host) => problem.zoneOf[host] as number)));
  places.forEach((list, group) => {
    if (new Set(list).size !== list.length) fail(`group ${group} has two items on a host`);
    const domains = new Set(list.map((host) => problem.domainOf[host])).size;
    if (domains < (problem.leastDomains[group] as number)) fail(`group ${group} is in ${domains} domains`);
    for (const needed of problem.needs[group] ?? []) {
      for (const zone of zonesOf[group] ?? [])
        if (zonesOf[needed]?.has(zone) !== true) fail(`group ${group} needs ${needed}`);
    }
  });
  const moved = Array.from({ length: groups }, () => 0);
  for (let item = 0; item < items; item += 1) {
    const [host, home] = [hostOf[item] as number, first[item] as number];
    cost += problem.pathCost?.[home * hosts + host] ?? 0;
    if (host === home) continue;
    cost += problem.moveCost[item] as number;
    const group = groupOf[item] as number;
    moved[group] = (moved[group] as number) + 1;
  }
  return cost + problem.groupMoveWeight * moved.reduce((most, count) => Math.max(most, count), 0);
};
