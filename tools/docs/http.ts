/** docs/reference/http.md: every address, what it takes and what it answers. An address without a row does not compile. */
import * as schema from "../../packages/schema/src/index.ts";
import { RIGHTS } from "../../packages/scheduler/src/adapters/http/rights.ts";
import { documents } from "./http-documents.ts";
import { document, page, table } from "./markdown.ts";

interface Row {
  readonly methods: string;
  readonly takes?: string;
  readonly answers: string;
  readonly what: string;
}

const rows: Readonly<Record<keyof typeof schema.Routes, Row>> = {
  livez: { methods: "GET", answers: "text", what: "The process runs. No token." },
  readyz: { methods: "GET", answers: "JSON", what: "The bus is connected, the log is read, somebody leads. No token." },
  metrics: { methods: "GET", answers: "text", what: "Prometheus exposition; see [metrics.md](metrics.md)." },
  openapi: { methods: "GET", answers: "OpenAPI 3.1", what: "This page for programs." },
  version: { methods: "GET", answers: "`Version`", what: "Version, cluster name, capabilities." },
  backup: {
    methods: "GET",
    answers: "bytes",
    what: "The whole state with the cluster's secrets, as a file for `berth restore`.",
  },
  tickets: { methods: "POST", answers: "`Ticket`", what: "A one-time ticket for a browser." },
  access: {
    methods: "GET, POST",
    takes: "POST: `AccessRequest`",
    answers: "`AccessList`; `AccessMade`",
    what: "Lists access tokens, makes one: the only time that it is shown.",
  },
  self: {
    methods: "GET",
    answers: "`Self`",
    what: "Whom the API takes the caller for: name, role, projects, and at which addresses it may change something.",
  },
  accessRevoke: {
    methods: "POST",
    answers: "`AccessRevoked`",
    what: "Revokes an access token, by its id or its name. What is open with it is cut off.",
  },
  login: { methods: "GET", takes: "`ticket`", answers: "redirect", what: "Turns a ticket into a session cookie." },
  watch: {
    methods: "WebSocket",
    takes: "`since`",
    answers: "`WatchMessage`",
    what: "The live feed: a snapshot, then deltas.",
  },
  events: {
    methods: "GET",
    takes: "`since` or `Last-Event-ID`, `tail`, `follow`, `project`, `job`, `host`",
    answers: "server-sent events of `Event`",
    what: "What has happened, by sequence of the log, and what happens from here on; see [below](#events).",
  },
  audit: {
    methods: "GET",
    takes: "`since` or `tail`, `limit`, `who`, `project`, `job`, `host`, `kind`, `result`",
    answers: "`AuditList`",
    what: "Who changed what, from where, and who was refused; the oldest first.",
  },
  jobs: {
    methods: "POST, GET",
    takes: "POST: job document, `dryRun`, `Idempotency-Key`. GET: `project`, `limit`, `cursor`",
    answers: "`Submitted` or `PlanView`; `JobList`",
    what: "Submits a job (or says what that would do), lists jobs.",
  },
  job: {
    methods: "GET",
    takes: "`wait`, `revision`",
    answers: "`JobView`",
    what: "One job; `?wait=30s&revision=N` waits for a change.",
  },
  jobStop: { methods: "POST", answers: "`JobView`", what: "Stops every task of the job." },
  taskWhy: { methods: "GET", answers: "`Why`", what: "Why a task is where it is, or why it is nowhere." },
  taskWhyNot: {
    methods: "GET",
    answers: "`WhyNot`",
    what: "What stands against a host for this task now, or how it scores beside the one that was chosen.",
  },
  hosts: {
    methods: "GET, POST",
    takes: "GET: `limit`, `cursor`. POST: `Enrolment`",
    answers: "`HostList`; `Enrolled`",
    what: "Lists hosts, admits a host.",
  },
  host: { methods: "GET", answers: "`HostView`", what: "One host." },
  hostCordon: { methods: "POST", answers: "`HostView`", what: "Closes a host: it takes nothing new. Cancels a drain." },
  hostUncordon: { methods: "POST", answers: "`HostView`", what: "Opens a host again." },
  hostDrain: {
    methods: "POST",
    takes: "`DrainRequest`, `dryRun`",
    answers: "`HostView` or `DrainPlan`",
    what: "Empties a host until a deadline, or says what that would do.",
  },
  hostRemove: {
    methods: "POST",
    takes: "`Removal`",
    answers: "`Removed`",
    what: "Removes a host; its key is revoked, what it ran counts as lost.",
  },
  joinTokens: {
    methods: "GET, POST",
    takes: "POST: `JoinTokenRequest`",
    answers: "`JoinTokenList`; `JoinTokenMade`",
    what: "Lists join tokens, makes one: the only time that its secret is shown.",
  },
  joinTokenRevoke: { methods: "POST", answers: "`JoinTokenRevoked`", what: "Revokes a join token." },
  join: {
    methods: "POST",
    takes: "`JoinRequest`",
    answers: "`Joined`",
    what: "A machine becomes a host. No API token: the join token is its right. Repeated with the same key it changes nothing.",
  },
  rebalancePlan: {
    methods: "POST",
    takes: "`RebalanceRequest`",
    answers: "`RebalancePlan`",
    what: "Which services would move so that hosts become empty, or none is too full. Changes nothing.",
  },
  whatIf: {
    methods: "POST",
    takes: "`WhatIfRequest`",
    answers: "`WhatIfView`",
    what: "What would happen if hosts were lost, emptied or added, or if there were more to run. Changes nothing.",
  },
  hostLosses: {
    methods: "GET",
    answers: "`HostLosses`",
    what: "For each host: would everything that runs there fit elsewhere if it were lost now?",
  },
  allocations: {
    methods: "GET",
    takes: "`project`, `job`, `index`, `host`, `state`, `limit`, `cursor`",
    answers: "`AllocationList`",
    what: "Allocations that fit every given filter.",
  },
  allocation: { methods: "GET", answers: "`AllocationView`", what: "One allocation." },
  allocationLogs: {
    methods: "GET",
    takes: "`stream`, `follow`, `offset`",
    answers: "text",
    what: "What the container printed. With `follow` the answer ends when the container does.",
  },
  allocationExec: {
    methods: "WebSocket",
    takes: "`SessionControl`",
    answers: "`SessionEvent`",
    what: "Another program in the container, or what its own writes and reads.",
  },
  allocationPause: {
    methods: "POST",
    answers: "`AllocationView`",
    what: "Answers when every process of the container stands still.",
  },
  allocationResume: {
    methods: "POST",
    answers: "`AllocationView`",
    what: "Lets the processes of a paused container go on.",
  },
  allocationChanges: {
    methods: "GET",
    takes: "`after`",
    answers: "`ChangeList`",
    what: "What a container has added, changed and deleted of its image, a page at a time.",
  },
  allocationRoot: {
    methods: "GET",
    takes: "`pause`",
    answers: "bytes",
    what: "All files that the container sees, or saw when it ended, as a tar archive. One that runs is paused meanwhile.",
  },
  allocationCommit: {
    methods: "POST",
    takes: "`CommitRequest`",
    answers: "`ImageOrders`",
    what: "Starts making an image of what the container wrote, on its host.",
  },
  allocationSnapshots: { methods: "POST", takes: "`SnapshotRequest`", answers: "`ImageOrders`", what: "Takes one." },
  snapshots: { methods: "GET", takes: "`host`, `project`", answers: "`SnapshotList`", what: "Snapshots on hosts." },
  snapshotRestore: { methods: "POST", answers: "`Submitted`", what: "A new version of its job that starts from it." },
  snapshotClone: { methods: "POST", takes: "`SnapshotClone`", answers: "`Submitted`", what: "Another job from it." },
  snapshotRemove: { methods: "POST", answers: "`ImageOrders`", what: "Removes it from every host that has it." },
  layers: {
    methods: "GET",
    takes: "`host`, `project`",
    answers: "`KeptLayerList`",
    what: "What ended containers wrote, as far as hosts keep it.",
  },
  layerRemove: {
    methods: "POST",
    answers: "`LayerRemoved`",
    what: "What the ended container wrote is kept no longer.",
  },
  allocationImage: {
    methods: "GET",
    answers: "`ImageBringing`",
    what: "How far its host is with bringing its image, layer by layer; no layers when it brings none.",
  },
  allocationOutputs: {
    methods: "GET",
    answers: "`OutputList`",
    what: "The files that the allocation left in its outputs.",
  },
  allocationOutput: { methods: "GET", answers: "bytes", what: "One of them." },
  projects: {
    methods: "GET, POST",
    takes: "GET: `limit`, `cursor`. POST: `ProjectRequest`",
    answers: "`ProjectList`; `ProjectView`",
    what: "Lists projects with what they hold, declares one.",
  },
  project: { methods: "GET", answers: "`ProjectView`", what: "One project: its quota, and what it holds of it." },
  projectSet: {
    methods: "POST",
    takes: "`ProjectChange`",
    answers: "`ProjectView`",
    what: "Gives a project another quota, weight or description. Nothing that runs is ended.",
  },
  projectRemove: {
    methods: "POST",
    answers: "`ProjectRemoved`",
    what: "Removes the record of a project that has no jobs and volumes left.",
  },
  secrets: {
    methods: "GET",
    answers: "`SecretList`",
    what: "Lists the secrets of a project, without their values, and which jobs use them.",
  },
  secret: {
    methods: "POST",
    takes: "`SecretRequest`",
    answers: "`SecretView`",
    what: "Sets a secret of a project. Tasks that start from then on get this value. No answer ever holds one.",
  },
  secretRemove: {
    methods: "POST",
    answers: "`SecretRemoved`",
    what: "Removes a secret that no job which has not finished refers to.",
  },
  volumes: {
    methods: "GET, POST",
    takes: "GET: `project`, `host`, `limit`, `cursor`. POST: `VolumeRequest`",
    answers: "`VolumeList`; `VolumeView`",
    what: "Lists volumes, makes one.",
  },
  volume: { methods: "GET", answers: "`VolumeDetail`", what: "One volume, with what its host has of it." },
  volumeCopies: {
    methods: "POST",
    takes: "`VolumeCopyRequest`",
    answers: "`VolumeView`",
    what: "Copies a volume that nobody writes, on its host: a clone, or a snapshot. `filling` until it is complete.",
  },
  volumeArchive: {
    methods: "GET",
    answers: "a tar archive",
    what: "What is in a volume that nobody writes. When somebody begins to, the stream breaks off.",
  },
  volumeData: {
    methods: "POST",
    takes: "`id`, `offset`, `last`; plain bytes, at most 1 MiB",
    answers: "`VolumeTaken`",
    what: "A piece of the archive (tar; plain, gzip, zstd or xz) that the volume of this `id` is made of, which was made with `import`. A piece that is sent again is not taken twice; the last one may be sent again to ask how far it is.",
  },
  volumeRemove: {
    methods: "POST",
    takes: "`id`",
    answers: "`VolumeRemoved`",
    what: "Deletes a volume that nothing uses, with its data. With an `id`, only if it is that one.",
  },
  images: {
    methods: "GET",
    takes: "`host`",
    answers: "`ImageList`",
    what: "Images on all hosts that answer, or on one.",
  },
  imageNames: {
    methods: "POST",
    takes: "`NameImage`",
    answers: "`ImageNamed`",
    what: "Says which manifest a name of the cluster (`oci://local/…`) stands for, or with null that it stands for nothing. Hosts start nothing else under it. Names without the folder of a project (`oci://local/PROJECT/…`), and those of distributions, need the role operator.",
  },
  imageInspect: {
    methods: "GET",
    takes: "`image`, `host`",
    answers: "`ImageDetails`",
    what: "One image, on every host that has it.",
  },
  imageOperations: {
    methods: "POST, GET",
    takes: "POST: `ImageOrder`. GET: `host`",
    answers: "`ImageOrders`; `ImageOperationList`",
    what: "Starts a pull, push, import, build, remove, prune or check on hosts, under one id; lists what runs now, layer by layer.",
  },
  imageData: {
    methods: "POST",
    takes: "`hosts`, `offset`, `last`; bytes",
    answers: "`ImageDataTaken`",
    what: "A piece (1 MiB at most) of an archive that hosts import under this id.",
  },
  imageExport: {
    methods: "GET",
    takes: "`image`, `host`, `format`",
    answers: "bytes",
    what: "An image as a tar archive: an OCI layout, or what `docker load` reads.",
  },
  imageOperation: {
    methods: "GET",
    takes: "`wait`, `revision`",
    answers: "`ImageOperation`",
    what: "How far an operation is, layer by layer; `?wait=10s&revision=N` waits for a change.",
  },
  imageOperationCancel: { methods: "POST", answers: "`ImageOperation`", what: "Gives it up." },
};

const isRoute = (name: string): name is keyof typeof schema.Routes => Object.hasOwn(schema.Routes, name);

/** What it needs, by method where they differ. */
const roles = (name: keyof typeof schema.Routes): string => {
  const needed = Object.entries(RIGHTS[name]).map(([method, right]) => {
    const text = right === "public" ? "none" : `${right.role}${right.of === "own" ? " of the project" : ""}`;
    return { method, text };
  });
  if (new Set(needed.map(({ text }) => text)).size === 1) return needed[0]?.text ?? "";
  return needed.map(({ method, text }) => `${method}: ${text}`).join("; ");
};

export const render = (): string =>
  page(
    "The HTTP API",
    "JSON over HTTP under `/v1`. Send `Authorization: Bearer TOKEN`; the admin token of a cluster that `berth up` started is in its data directory, others are made with `berth access create`. Browsers use a session cookie instead (`berth dashboard` prints a login link). Every error is a [problem](problems.md).",
    "## Addresses",
    table(
      ["Address", "Methods", "Role", "Takes", "Answers", "What it does"],
      Object.keys(schema.Routes)
        .filter(isRoute)
        .map((name) => {
          const row = rows[name];
          return [`\`${schema.Routes[name]}\``, row.methods, roles(name), row.takes ?? "", row.answers, row.what];
        }),
    ),
    `## Lists

\`limit\` is at most 1000. \`next\` of an answer is the \`cursor\` of the following page, or null. \`revision\` is the sequence of the log that the answer rests on.`,
    `## Waiting and repeating

\`GET\` of a job with \`?wait=30s&revision=N\` answers as soon as the job differs from revision N, or after the wait. A \`POST\` with an \`Idempotency-Key\` may be repeated after a lost answer: it is done once, and the repetition gets the same result. A token that was made is an exception, since only its digest is kept: revoke it and make another. So is what hosts are asked for at once and the log does not hold (orders of images, commits, snapshots): look at it first. Of several schedulers each answers reads with everything that was acknowledged by any of them before; when it cannot (the bus is silent), the answer has the header \`berth-behind-ms\`: what happened in so many milliseconds before it may be missing.`,
    `## The live feed

\`/v1/watch\` is a WebSocket of JSON text frames. The first is a \`snapshot\`; each \`delta\` names the revision it follows (\`previous\`), so a gap shows. After a lost connection ask with \`?since=REVISION\`: what was missed comes as deltas, or a new snapshot when that is too long ago. \`usage\` frames carry measurements, which have no revision; \`ping\` shows that the line is alive. A client that reads too slowly is disconnected and asks again.`,
    `## Events

\`/v1/events\` answers with server-sent events: every record of the log is one, in the log's order, as an \`Event\` in \`data\`. \`id\` is the sequence of its transaction; only the last event of a transaction carries it. With \`since=SEQUENCE\` (or the header \`Last-Event-ID\`, which browsers send by themselves and which goes first) what follows that sequence comes first, from memory or from the log; with \`tail=N\` about the newest N events, by whole transactions; without either, only what comes. \`follow=false\` ends the answer with what is there now. Snapshots let the log be cut: what follows a sequence that is gone is refused as \`events.gone\`, and \`oldestSequence\` says how far back it goes. A cut connection may bring the events of one transaction again: \`sequence\` and \`part\` name an event for good.`,
    `## Sessions

\`/v1/allocations/ID/exec\` is a WebSocket. The first frame is \`{"kind": "open", "request": …}\` as text; then binary frames carry standard input, and of what comes back the first byte says whether the rest is standard output (1) or standard error (2). Each side may have 256 KiB on the way that the other has not given back by \`credit\`; who does not read stops the program. The last text frame is \`exit\`, or a problem. When the connection ends, the program gets SIGHUP and is then killed.`,
    "## Documents",
    ...documents.map(([name, one]) => document(name, one)),
  );
