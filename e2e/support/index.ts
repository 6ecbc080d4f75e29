/** What the stories are told with. */
export { finish, ROOT, runBerth, spawnBerth, type Finished } from "./cli.ts";
export { Cluster, freePort, type Up } from "./cluster.ts";
export { eventually } from "./eventually.ts";
export { reboot } from "./reboot.ts";
export { SecondMachine } from "./second-machine.ts";
export { inside, isAlive, kill, namespaceOf, naming, processes, statusOf } from "./processes.ts";
