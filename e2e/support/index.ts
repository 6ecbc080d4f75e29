/** What the stories are told with. */
export { ROOT, runBerth, type Finished } from "./cli.ts";
export { Cluster, type Up } from "./cluster.ts";
export { eventually } from "./eventually.ts";
export { inside, isAlive, kill, namespaceOf, naming, processes, statusOf } from "./processes.ts";
