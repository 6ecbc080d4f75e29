/** The openb trace (alibaba/clusterdata, cluster-trace-gpu-v2023; Weng et al., ATC'23): GPU nodes, and lists of tasks. */
import type { Random } from "../../packages/scheduler/sim/random.ts";
import { jittered } from "./perturb.ts";
import { readCsv } from "./traces.ts";

export interface Node {
  readonly cpu: number;
  readonly memory: number;
  readonly model: string;
  freeCpu: number;
  freeMemory: number;
  /** Thousandths left of each device; how many are untouched, the most that one has left, and the sum. */
  readonly gpus: number[];
  untouched: number;
  mostLeft: number;
  freeGpu: number;
}

export const recount = (node: Node): void => {
  node.untouched = node.gpus.filter((left) => left === 1000).length;
  node.mostLeft = Math.max(0, ...node.gpus);
  node.freeGpu = node.gpus.reduce((sum, left) => sum + left, 0);
};

export interface Task {
  readonly cpu: number;
  readonly memory: number;
  readonly gpus: number;
  readonly gpuMillis: number;
  readonly models: readonly string[];
}

export const loadNodes = (): Node[] =>
  readCsv("openb", "openb_node_list_gpu_node.csv.gz").map((row) => {
    const [cpu, memory] = [Number(row["cpu_milli"]), Number(row["memory_mib"])];
    const gpus = Array.from({ length: Number(row["gpu"]) }, () => 1000);
    const model = row["model"] ?? "";
    const node = { cpu, memory, model, freeCpu: cpu, freeMemory: memory, gpus, untouched: 0, mostLeft: 0, freeGpu: 0 };
    recount(node);
    return node;
  });

/** Of a perturbed copy. */
const SPREAD = 0.1;

export const loadTasks = (file: string): Task[] =>
  readCsv("openb", file).map((row) => ({
    cpu: jittered(Number(row["cpu_milli"]), SPREAD),
    memory: jittered(Number(row["memory_mib"]), SPREAD),
    gpus: Number(row["num_gpu"]),
    gpuMillis: Number(row["gpu_milli"]),
    models: (row["gpu_spec"] ?? "").split("|").filter((model) => model !== ""),
  }));

/** Thousandths of GPUs that a task asks for. */
export const demand = (task: Task): number => (task.gpus === 1 ? task.gpuMillis : task.gpus * 1000);

/** In an order of this seed's. */
export const shuffled = (nodes: Node[], random: Random): Node[] => {
  for (let at = nodes.length - 1; at > 0; at -= 1) {
    const other = random.below(at + 1);
    [nodes[at], nodes[other]] = [nodes[other] as Node, nodes[at] as Node];
  }
  return nodes;
};
