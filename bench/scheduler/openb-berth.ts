/** The openb cell for the real core: GPUs as devices, shares of one in thousandths, models as the tasks name them. */
import { deviceTotals, type Device, type DeviceAsk, type Resources } from "@berth/schema";
import { seededRandom } from "../../packages/scheduler/sim/random.ts";
import { createBerthCell, jobOf } from "./berth-cell.ts";
import { demand, loadNodes, shuffled, type Node, type Task } from "./openb-trace.ts";

const MIB = 2 ** 20;
const MANY_PIDS = 1_000_000;

const asksOf = ({ gpus, gpuMillis, models }: Task): DeviceAsk[] =>
  gpus === 0
    ? []
    : [
        {
          kind: "gpu",
          count: gpus,
          each: { milli: gpus === 1 ? gpuMillis : 1000 },
          ...(models.length > 0 && { models: [...models] }),
        },
      ];

const resourcesOf = (cpu: number, memory: number, pids: number, asks: readonly DeviceAsk[]): Resources => ({
  cpuMillis: cpu,
  memoryBytes: memory * MIB,
  pids,
  ...(asks.length > 0 && { more: deviceTotals(asks) }),
});

export const createOpenbCell = (nodes: readonly Node[]) => {
  const devicesOf = ({ gpus, model }: Node): Device[] =>
    gpus.map((_, at) => ({ kind: "gpu", id: String(at), model, has: { milli: 1000 } }));
  const hosts = nodes.map(({ cpu, memory, gpus }) =>
    resourcesOf(cpu, memory, MANY_PIDS, [{ kind: "gpu", count: gpus.length, each: { milli: 1000 } }]),
  );
  const cell = createBerthCell(
    hosts,
    () => ({}),
    (at) => devicesOf(nodes[at] as Node),
  );
  let jobs = 0;
  /** False when it fits nowhere: then it is gone again. */
  const place = (task: Task): boolean => {
    jobs += 1;
    const asks = asksOf(task);
    const spec = jobOf(`j${jobs}`, resourcesOf(task.cpu, task.memory, 1, asks), 1, undefined, asks);
    cell.submit(spec);
    const { records } = cell.plan(1);
    const isPlaced = records.some(({ kind }) => kind === "allocation_placed");
    if (isPlaced) cell.append(records);
    else cell.append([{ kind: "job_stopped", project: spec.project, job: spec.name, by: "bench" }]);
    return isPlaced;
  };
  return { place };
};

/** The share of all GPUs that is allocated when tasks of as much demand have arrived, in percent. */
export const inflateBerth = (tasks: readonly Task[], seed: number): number => {
  const random = seededRandom(seed);
  const nodes = shuffled(loadNodes(), random);
  const cell = createOpenbCell(nodes);
  const capacity = nodes.reduce((sum, node) => sum + node.gpus.length * 1000, 0);
  let [arrived, allocated] = [0, 0];
  while (arrived < capacity) {
    const task = tasks[random.below(tasks.length)] as Task;
    arrived += demand(task);
    if (cell.place(task)) allocated += demand(task);
  }
  return (allocated / capacity) * 100;
};

/** Fewest hosts on which the first tasks of the trace all fit, in the order of arrival and one random order of hosts. */
export const berthHolds = (tasks: readonly Task[], nodes: readonly Node[]): boolean => {
  const cell = createOpenbCell(nodes);
  return tasks.every((task) => cell.place(task));
};
