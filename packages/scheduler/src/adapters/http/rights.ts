/**
 * Who may use which address: the one table. A route that is not in it is not served: registering it throws. `cluster` is
 * what concerns everybody: reading it needs no more than a token, changing it one that is not bound to projects. `own`
 * belongs to a project; the address names it, or the handler looks at whose it is.
 */
import { includesRole, Routes, type AccessProjects, type Role } from "@berth/schema";

export type Method = "GET" | "POST";
/** `public` is served to whoever asks: it has no token, or one of another kind. */
export type Right = "public" | { readonly role: Role; readonly of: "cluster" | "own" };

const read = { role: "viewer", of: "cluster" } as const;
const readOwn = { role: "viewer", of: "own" } as const;
const changeOwn = { role: "submitter", of: "own" } as const;
const operate = { role: "operator", of: "cluster" } as const;
const administer = { role: "admin", of: "cluster" } as const;

type RouteName = keyof typeof Routes;

export const RIGHTS: Readonly<Record<RouteName, Readonly<Partial<Record<Method, Right>>>>> = {
  livez: { GET: "public" },
  readyz: { GET: "public" },
  login: { GET: "public" },
  /** The join token is the right. */
  join: { POST: "public" },
  metrics: { GET: read },
  openapi: { GET: read },
  version: { GET: read },
  self: { GET: read },
  tickets: { POST: read },
  backup: { GET: administer },
  access: { GET: administer, POST: administer },
  accessRevoke: { POST: administer },
  /** It says what admins do, and from where: of no concern to whom they give less. */
  audit: { GET: administer },
  watch: { GET: readOwn },
  events: { GET: readOwn },
  jobs: { GET: readOwn, POST: changeOwn },
  job: { GET: readOwn },
  jobStop: { POST: changeOwn },
  taskWhy: { GET: readOwn },
  taskWhyNot: { GET: readOwn },
  projects: { GET: readOwn, POST: administer },
  project: { GET: readOwn },
  projectSet: { POST: administer },
  projectRemove: { POST: administer },
  secrets: { GET: readOwn },
  /** Whoever may run something in the project may read them all: by a task that does. */
  secret: { POST: changeOwn },
  secretRemove: { POST: changeOwn },
  volumes: { GET: readOwn, POST: changeOwn },
  volume: { GET: readOwn },
  volumeCopies: { POST: changeOwn },
  /** As a program in the project could read and write it. */
  volumeArchive: { GET: changeOwn },
  volumeData: { POST: changeOwn },
  volumeRemove: { POST: changeOwn },
  allocations: { GET: readOwn },
  allocation: { GET: readOwn },
  allocationLogs: { GET: readOwn },
  allocationImage: { GET: readOwn },
  /** What runs there may do whatever the container may. */
  allocationExec: { GET: changeOwn },
  allocationPause: { POST: changeOwn },
  allocationResume: { POST: changeOwn },
  allocationChanges: { GET: readOwn },
  /** It pauses what runs, and shows every file of it: as much as a program in it could. */
  allocationRoot: { GET: changeOwn },
  allocationCommit: { POST: changeOwn },
  allocationSnapshots: { POST: changeOwn },
  snapshots: { GET: readOwn },
  snapshotRestore: { POST: changeOwn },
  snapshotClone: { POST: changeOwn },
  snapshotRemove: { POST: changeOwn },
  layers: { GET: readOwn },
  layerRemove: { POST: changeOwn },
  allocationOutputs: { GET: readOwn },
  allocationOutput: { GET: readOwn },
  hosts: { GET: read, POST: operate },
  host: { GET: read },
  hostCordon: { POST: operate },
  hostUncordon: { POST: operate },
  hostDrain: { POST: operate },
  hostRemove: { POST: operate },
  joinTokens: { GET: operate, POST: operate },
  joinTokenRevoke: { POST: operate },
  /** They speak of the tasks of all projects. */
  rebalancePlan: { POST: operate },
  whatIf: { POST: operate },
  hostLosses: { GET: operate },
  images: { GET: read },
  /** Names of a project are its own; the handler asks for more for all others. */
  imageNames: { POST: changeOwn },
  imageInspect: { GET: read },
  imageOperations: { GET: read, POST: operate },
  imageData: { POST: operate },
  imageExport: { GET: operate },
  imageOperation: { GET: read },
  /** Whoever may begin one may give it up. */
  imageOperationCancel: { POST: changeOwn },
};

/** The addresses that this role may change something at: what a page needs to know before it shows a button. */
export const changesOf = (who: { readonly role: Role; readonly projects: AccessProjects }): string[] =>
  (Object.keys(RIGHTS) as RouteName[]).flatMap((name) => {
    const right = RIGHTS[name].POST;
    if (right === undefined || right === "public" || !includesRole(who.role, right.role)) return [];
    // As auth.ts asks: whoever is bound to projects changes nothing of the whole cluster.
    const isBound = who.projects !== null && right.of === "cluster" && right.role !== "viewer";
    return isBound ? [] : [`POST ${Routes[name]}`];
  });
