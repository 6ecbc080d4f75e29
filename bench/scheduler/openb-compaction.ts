/**
 * Compaction on the openb cell: the first tasks of its list, in the order of their arrival, on the fewest hosts that hold all
 * of them. Hosts are added in a random order, the same for all packers; a mean over a few orders is shown.
 */
import { seededRandom } from "../../packages/scheduler/sim/random.ts";
import { fewest } from "./huawei.ts";
import { canTake, devicesFor } from "./openb.ts";
import { berthHolds } from "./openb-berth.ts";
import { otherSeed, redrawn } from "./perturb.ts";
import { loadNodes, loadTasks, recount, shuffled, type Node, type Task } from "./openb-trace.ts";

const TASKS = 6_000;

const firstFitHolds = (tasks: readonly Task[], nodes: readonly Node[]): boolean =>
  tasks.every((task) => {
    const node = nodes.find((one) => canTake(one, task));
    if (node === undefined) return false;
    node.freeCpu -= task.cpu;
    node.freeMemory -= task.memory;
    for (const at of devicesFor(node, task) ?? []) {
      node.gpus[at] = (node.gpus[at] as number) - (task.gpus === 1 ? task.gpuMillis : 1000);
    }
    recount(node);
    return true;
  });

export interface Compaction {
  readonly policy: string;
  /** Mean over the orders; undefined: in some order not even all hosts are enough. */
  readonly hosts: number | undefined;
}

/** `bound` is where the search begins. */
export const openbCompaction = (bound: number, seeds: readonly number[] = [1, 2, 3].map(otherSeed)): Compaction[] => {
  const tasks = redrawn(loadTasks("openb_pod_list_default.csv.gz").slice(0, TASKS));
  const meanOf = (holds: (tasks: readonly Task[], nodes: readonly Node[]) => boolean): number | undefined => {
    let sum = 0;
    for (const seed of seeds) {
      const nodesOf = (hosts: number): Node[] => shuffled(loadNodes(), seededRandom(seed)).slice(0, hosts);
      const all = loadNodes().length;
      if (!holds(tasks, nodesOf(all))) return undefined;
      sum += fewest(bound, (hosts) => hosts >= all || holds(tasks, nodesOf(hosts)));
    }
    return sum / seeds.length;
  };
  return [
    { policy: "first fit", hosts: meanOf(firstFitHolds) },
    { policy: "berth", hosts: meanOf(berthHolds) },
  ];
};
