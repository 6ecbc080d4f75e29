/**
 * Inflation on the openb cell (Weng et al., ATC'23): tasks drawn with replacement arrive until their GPU demand equals the
 * cell's, and never leave; what share of all GPUs is allocated then? The last row is the core itself, as it learns the mix
 * from what it has placed and from nothing else.
 */
import { seededRandom, type Random } from "../../packages/scheduler/sim/random.ts";
import type { PackingRow } from "./huawei.ts";
import { inflateBerth } from "./openb-berth.ts";
import { demand, loadNodes, loadTasks, recount, shuffled, type Node, type Task } from "./openb-trace.ts";
import { otherSeed } from "./perturb.ts";
import { readCsv, traceFiles } from "./traces.ts";

/** The devices that the task would get: whole free ones, or the fullest one that still has its share. */
export const devicesFor = (node: Node, task: Task): number[] | undefined => {
  if (task.gpus === 0) return [];
  if (task.gpus === 1 && task.gpuMillis < 1000) {
    let best = -1;
    node.gpus.forEach((left, at) => {
      if (left >= task.gpuMillis && (best < 0 || left < (node.gpus[best] as number))) best = at;
    });
    return best < 0 ? undefined : [best];
  }
  const whole = node.gpus.flatMap((left, at) => (left === 1000 ? [at] : []));
  return whole.length < task.gpus ? undefined : whole.slice(0, task.gpus);
};

export const canTake = (node: Node, task: Task): boolean =>
  node.freeCpu >= task.cpu &&
  node.freeMemory >= task.memory &&
  (task.models.length === 0 || task.gpus === 0 || task.models.includes(node.model)) &&
  (task.gpus === 1 ? node.mostLeft >= task.gpuMillis : node.untouched >= task.gpus);

const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);

type Score = (node: Node, task: Task) => number;

/** Shares that would be left: cpu, memory, GPU. */
const left = (node: Node, task: Task): readonly [number, number, number] => [
  share(node.freeCpu - task.cpu, node.cpu),
  share(node.freeMemory - task.memory, node.memory),
  share(node.freeGpu - demand(task), node.gpus.length * 1000),
];

const SCORES: Readonly<Record<string, Score>> = {
  "first fit": () => 0,
  "best fit": (node, task) => -left(node, task).reduce((sum, value) => sum + value, 0),
  "MostAllocated (cpu, memory)": (node, task) => 2 - left(node, task)[0] - left(node, task)[1],
  "LeastAllocated (cpu, memory)": (node, task) => left(node, task)[0] + left(node, task)[1],
  "Nomad, all hosts": (node, task) => 20 - 10 ** left(node, task)[0] - 10 ** left(node, task)[1],
};

const pickBest = (nodes: readonly Node[], task: Task, score: Score): Node | undefined => {
  let best: Node | undefined;
  let bestScore = Number.NEGATIVE_INFINITY;
  for (const node of nodes) {
    if (!canTake(node, task)) continue;
    const value = score(node, task);
    if (value > bestScore) [best, bestScore] = [node, value];
  }
  return best;
};

/** Of log2 n that fit, in random order, the best by Nomad's score. */
const pickSample = (nodes: readonly Node[], task: Task, random: Random): Node | undefined => {
  const limit = Math.ceil(Math.log2(nodes.length));
  const found: Node[] = [];
  const start = random.below(nodes.length);
  // The nodes are in random order, so a random start is a random sample.
  for (let at = 0; at < nodes.length && found.length < limit; at += 1) {
    const node = nodes[(start + at) % nodes.length] as Node;
    if (canTake(node, task)) found.push(node);
  }
  return pickBest(found, task, SCORES["Nomad, all hosts"] as Score);
};

const inflate = (
  tasks: readonly Task[],
  seed: number,
  pick: (nodes: readonly Node[], task: Task, random: Random) => Node | undefined,
): number => {
  const random = seededRandom(seed);
  const nodes = shuffled(loadNodes(), random);
  const capacity = nodes.reduce((sum, node) => sum + node.gpus.length * 1000, 0);
  let [arrived, allocated] = [0, 0];
  while (arrived < capacity) {
    const task = tasks[random.below(tasks.length)] as Task;
    arrived += demand(task);
    const node = pick(nodes, task, random);
    const devices = node === undefined ? undefined : devicesFor(node, task);
    if (node === undefined || devices === undefined) continue;
    node.freeCpu -= task.cpu;
    node.freeMemory -= task.memory;
    const each = task.gpus === 1 ? task.gpuMillis : 1000;
    for (const device of devices) node.gpus[device] = (node.gpus[device] as number) - each;
    recount(node);
    allocated += demand(task);
  }
  return (allocated / capacity) * 100;
};

/** FGD's published means over 10 seeds at 100 % arrived, by list (see the README of the traces). */
export const publishedFgd = (): Readonly<Record<string, number>> =>
  Object.fromEntries(
    readCsv("", "fgd_published_alloc_ratio.csv")
      .filter(({ policy }) => policy === "06-FGD")
      .map((row) => [(row["workload"] ?? "").slice("openb_pod_list_".length), Number(row["alloc_pct_at_100"])]),
  );

/** Mean over `seeds` of the allocation at 100 % arrived, per task list. */
export const openbInflation = (seeds: readonly number[] = [1, 2, 3].map(otherSeed)): PackingRow[] => {
  const lists = traceFiles("openb", /^openb_pod_list_.*\.csv\.gz$/).map((file) => ({
    name: file.slice("openb_pod_list_".length, -".csv.gz".length),
    tasks: loadTasks(file),
  }));
  const meanOf = (tasks: readonly Task[]): number =>
    seeds.reduce((total, seed) => total + inflateBerth(tasks, seed), 0) / seeds.length;
  const row = (policy: string, pick: Parameters<typeof inflate>[2]): PackingRow => {
    const values = lists.map(({ name, tasks }) => {
      const sum = seeds.reduce((total, seed) => total + inflate(tasks, seed, pick), 0);
      return [name, sum / seeds.length] as const;
    });
    return { policy, values: Object.fromEntries(values) };
  };
  return [
    ...Object.entries(SCORES).map(([name, score]) => row(name, (nodes, task) => pickBest(nodes, task, score))),
    row("Nomad service (log2 n)", pickSample),
    { policy: "berth", values: Object.fromEntries(lists.map(({ name, tasks }) => [name, meanOf(tasks)])) },
  ];
};
