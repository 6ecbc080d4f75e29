/** Every address of the HTTP API, once: servers register them, clients build them. */
export const Routes = {
  livez: "/livez",
  readyz: "/readyz",
  metrics: "/metrics",
  openapi: "/v1/openapi.json",
  version: "/v1/version",
  /** The whole state and the cluster's secrets, as a file for `berth restore`. */
  backup: "/v1/backup",
  tickets: "/v1/tickets",
  login: "/login",
  /** GET lists; POST makes a token (AccessRequest → AccessMade). */
  access: "/v1/access",
  /** Whom the API takes the caller for. */
  self: "/v1/access/self",
  /** By id or by name. */
  accessRevoke: "/v1/access/:access/revoke",
  watch: "/v1/watch",
  /** Server-sent events: `since` or the header Last-Event-ID, `tail`, `follow=false`, `project`, `job`, `host`. */
  events: "/v1/events",
  /** What was changed, by whom: `since` or `tail`, `limit`, `who`, `project`, `job`, `host`, `kind`, `result`. */
  audit: "/v1/audit",
  /** POST a job document; `?dryRun=true` answers with the plan. GET lists (`project`, `limit`, `cursor`). */
  jobs: "/v1/jobs",
  /** `?wait=30s&revision=N` answers when the job differs from revision N, or after the wait. */
  job: "/v1/jobs/:project/:job",
  jobStop: "/v1/jobs/:project/:job/stop",
  taskWhy: "/v1/jobs/:project/:job/tasks/:index/why",
  taskWhyNot: "/v1/jobs/:project/:job/tasks/:index/why-not/:host",
  /** GET lists; POST admits a host (Enrolment → Enrolled). */
  hosts: "/v1/hosts",
  host: "/v1/hosts/:host",
  hostCordon: "/v1/hosts/:host/cordon",
  hostUncordon: "/v1/hosts/:host/uncordon",
  /** `?dryRun=true` answers with the plan. Cancelled by cordon (it stays closed) or uncordon. */
  hostDrain: "/v1/hosts/:host/drain",
  hostRemove: "/v1/hosts/:host/remove",
  /** GET lists; POST makes one (JoinTokenRequest → JoinTokenMade). */
  joinTokens: "/v1/join-tokens",
  joinTokenRevoke: "/v1/join-tokens/:token/revoke",
  /** For machines that become hosts: a join token is the only right it asks for. */
  join: "/v1/join",
  /** POST: what moves would empty hosts or relieve full ones. */
  rebalancePlan: "/v1/rebalance/plan",
  whatIf: "/v1/what-if",
  hostLosses: "/v1/what-if/losses",
  /** `project`, `job`, `index`, `host`, `state`, `limit`, `cursor`. */
  allocations: "/v1/allocations",
  allocation: "/v1/allocations/:allocation",
  /** text; `stream=stdout|stderr`, `follow=true`, `offset`. Ends with the container when it follows. */
  allocationLogs: "/v1/allocations/:allocation/logs",
  /** WebSocket: another program in the container, or its own (SessionControl, SessionEvent). */
  allocationExec: "/v1/allocations/:allocation/exec",
  /** Every process of the container stands still, until it is resumed or stopped. */
  allocationPause: "/v1/allocations/:allocation/pause",
  allocationResume: "/v1/allocations/:allocation/resume",
  /** `after`: what the container has changed of its image. */
  allocationChanges: "/v1/allocations/:allocation/changes",
  /** POST a CommitRequest: an operation on the allocation's host that makes an image. */
  allocationCommit: "/v1/allocations/:allocation/commit",
  /** POST a SnapshotRequest: an operation on its host, as for a commit. */
  allocationSnapshots: "/v1/allocations/:allocation/snapshots",
  /** `host`, `project`. */
  snapshots: "/v1/snapshots",
  /** POST: a new version of its job that starts from it. */
  snapshotRestore: "/v1/snapshots/:project/:job/:index/:snapshot/restore",
  /** POST a SnapshotClone: another job that starts from it. */
  snapshotClone: "/v1/snapshots/:project/:job/:index/:snapshot/clone",
  /** POST: operations on all hosts that have it. */
  snapshotRemove: "/v1/snapshots/:project/:job/:index/:snapshot/remove",
  /** `pause`: all that the container sees or saw, as an archive. */
  allocationRoot: "/v1/allocations/:allocation/root",
  /** POST: what the ended container wrote is kept no longer. */
  layerRemove: "/v1/allocations/:allocation/layer/remove",
  /** What ended containers wrote, as far as hosts keep it; `host`, `project`. */
  layers: "/v1/layers",
  /** What its host brings of its image, as long as it does. */
  allocationImage: "/v1/allocations/:allocation/image",
  allocationOutputs: "/v1/allocations/:allocation/outputs",
  allocationOutput: "/v1/allocations/:allocation/outputs/*",
  /** GET lists (`project`, `host`, `limit`, `cursor`); POST makes one (VolumeRequest → VolumeView). */
  volumes: "/v1/volumes",
  volume: "/v1/volumes/:project/:volume",
  /** POST a VolumeCopyRequest: a snapshot or a clone of it. */
  volumeCopies: "/v1/volumes/:project/:volume/copies",
  /** GET: what is in it, as a tar archive. */
  volumeArchive: "/v1/volumes/:project/:volume/archive",
  /** POST: the next piece of the archive that it is made of (`offset`, `last`). */
  volumeData: "/v1/volumes/:project/:volume/data",
  volumeRemove: "/v1/volumes/:project/:volume/remove",
  /** GET lists; POST declares one (ProjectRequest). */
  projects: "/v1/projects",
  project: "/v1/projects/:project",
  /** POST a ProjectChange. */
  projectSet: "/v1/projects/:project/set",
  projectRemove: "/v1/projects/:project/remove",
  secrets: "/v1/projects/:project/secrets",
  /** POST a SecretRequest. */
  secret: "/v1/projects/:project/secrets/:secret",
  secretRemove: "/v1/projects/:project/secrets/:secret/remove",
  /** Of all hosts that answer, or with `host` of one. */
  images: "/v1/images",
  /** POST a NameImage. */
  imageNames: "/v1/images/names",
  /** `image`, `host`. */
  imageInspect: "/v1/images/inspect",
  /** POST an order: starts an operation on hosts. */
  imageOperations: "/v1/images/operations",
  /** POST a piece of an archive that is imported: `hosts` (divided by commas), `offset`, `last`. */
  imageData: "/v1/image-operations/:operation/data",
  /** `image`, `host`, `format`: an archive. */
  imageExport: "/v1/images/export",
  /** `?wait=10s&revision=N` answers when the operation differs from revision N, or after the wait. */
  imageOperation: "/v1/hosts/:host/image-operations/:operation",
  imageOperationCancel: "/v1/hosts/:host/image-operations/:operation/cancel",
} as const;

/** Fills `:name` and `*` of a route; values are percent-encoded, `*` keeps its slashes. */
export const routePath = (route: string, values: Readonly<Record<string, string | number>> = {}): string =>
  route
    .replace(/:([A-Za-z]+)/g, (_, name: string) => {
      const value = values[name];
      if (value === undefined) throw new Error(`route ${route} needs "${name}"`);
      return encodeURIComponent(String(value));
    })
    .replace("*", () =>
      String(values["*"] ?? "")
        .split("/")
        .map(encodeURIComponent)
        .join("/"),
    );
