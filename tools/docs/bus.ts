/** docs/reference/bus.md: subjects, the log's records, buckets, and what an agent may do. */
import {
  agentPermissions,
  AllocationReportSchema,
  Buckets,
  ChunkSchema,
  DesiredAllocationSchema,
  DesiredDocumentSchema,
  HeartbeatSchema,
  HelloSchema,
  MAX_TRANSACTION_BYTES,
  RecordSchema,
  ReportSchema,
  RpcSchema,
  SignedSchema,
  SyncSchema,
  WelcomeSchema,
  Streams,
  Subjects,
  type HostId,
  type LogRecord,
} from "../../packages/schema/src/index.ts";
import { document, fieldRows, page, table } from "./markdown.ts";

const host = "HOST" as HostId;

type Name = keyof typeof Subjects;
const meanings: Readonly<Record<Name, readonly [direction: string, what: string]>> = {
  heartbeat: [
    "agent → scheduler",
    "every 2 s: usage, pressure, a digest of what runs. Never stored; the last one wins.",
  ],
  heartbeats: ["scheduler subscribes", "all heartbeats."],
  hello: ["agent → leader, request", "the first request of a session; the answer carries the desired document."],
  report: ["agent → leader, request", "states of allocations; answered only after they are in the log."],
  sync: ["agent → leader, request", "“this is what I have”; the answer is a newer document, if there is one."],
  image: ["agent → leader, request", "which image of this name other hosts have."],
  blob: [
    "agent → leader, request",
    "bytes of a blob that another host has. The leader asks that host, whose answer goes straight to the asking agent: " +
      "the bytes, with the size of the blob in the header `Berth-Size`.",
  ],
  held: [
    "agent → schedulers, request",
    "which images the host has, as they change, and how fast it fetched some. Never stored; the leader answers what it knows.",
  ],
  lease: [
    "agent → leader, request",
    "“may my singletons go on?”, every heartbeat while there are any; the answer is signed and holds for their leases.",
  ],
  requests: ["scheduler subscribes", "all requests of agents."],
  desired: ["scheduler → agent", "the desired document, republished from its bucket: a hint that may be lost."],
  rpc: [
    "scheduler → agent, request, signed",
    "reads of logs and outputs; opens sessions; lists of images and operations on them, archives in pieces.",
  ],
  sessionIn: ["scheduler → agent", "a session's frames: input, credit, size, signals."],
  sessionOut: ["agent → scheduler", "a session's frames: output, credit, the exit."],
  leader: ["leader → other schedulers", "who leads, and since which epoch: a hint."],
  write: ["follower → leader", "a change that a user asked a follower for; only the leader answers."],
  inboxPrefix: ["→ agent", "prefix of the agent's reply inboxes; answers go nowhere else."],
};

const kinds: Readonly<Record<LogRecord["kind"], string>> = {
  leader_confirmed:
    "Changes nothing: that the log took it proves that the instance still leads. Written before leases are granted.",
  leader_elected: "An instance leads from here on; the epoch is this record's sequence number.",
  cluster_keyed: "The public half of the key that signs what agents may believe: every scheduler must have this one.",
  log_restored: "The log begins with a backup.",
  job_submitted: "A job was created, replaced by a new version, or run again.",
  job_limits_changed: "A new version of a job differs in its limits only: what runs goes on, under the new ones.",
  job_stopped: "Somebody stopped a job.",
  job_forgotten: "A finished job was dropped because there are more of them than the cluster keeps.",
  host_enrolled: "A host's public key was admitted.",
  host_registered: "An agent began a session and said what its host has.",
  host_disconnected: "A host has been silent for a moment: it gets nothing new.",
  access_created: "A token of the API was made, with its role and projects; the log holds its SHA-256.",
  project_created: "A project was declared, with its quota and weight.",
  project_changed: "A project has another quota, weight or description. Nothing that runs is ended.",
  project_removed: "A project is declared no longer.",
  image_named: "A name of the cluster stands for this manifest from here on: hosts start nothing else under it.",
  image_unnamed: "A name of the cluster stands for nothing any more.",
  secret_set:
    "A secret of a project has another value from here on; the record holds it encrypted with the cluster's key.",
  secret_removed: "A secret is gone.",
  access_revoked: "An access token is good no longer.",
  host_cordoned: "A host takes nothing new; also how a drain ends.",
  host_uncordoned: "A host takes work again.",
  host_draining: "A host gives away what it runs, until a deadline.",
  host_removed: "A host and its key are forgotten; what it ran counts as lost.",
  join_token_created: "A machine may join with the secret of this digest, once.",
  join_token_used: "A machine has joined with it; in the transaction that enrols the host.",
  join_token_revoked: "Nobody may join with it any more.",
  host_lost: "A host was silent for too long.",
  host_silent: "A silent host has been silent for longer than some of its jobs wait (`disconnect.after`).",
  host_ready: "A lost host is back.",
  allocation_placed:
    "A task was given a host. When it replaces an attempt on a lost host, that one becomes `lost` here.",
  room_reserved:
    "A task gets the room of less important ones: they shall stop, and what they free is kept for it on that host until it is placed, its job changes, or the host goes away.",
  allocation_reported: "An agent reported a new state of an allocation.",
  allocation_stop: "An allocation shall stop.",
  volume_created: "A user made a volume. Those that a placement makes are said by the placement itself.",
  request_made:
    "Somebody ran a program in a container, ordered something of images, or took a backup. For the audit trail.",
  request_refused: "Somebody asked for a change and was refused. For the audit trail.",
  volume_filled: "What a volume was copied from is in it.",
  volume_removing: "Nobody gets the volume any more; its host is told to delete it.",
  volume_removed: "Its host has deleted it, or is no host any more.",
};

const isName = (name: string): name is Name => Object.hasOwn(Subjects, name);
const subjectOf = (name: Name): string => {
  const subject = Subjects[name];
  return typeof subject === "string" ? subject : subject(host, "SESSION");
};

export const render = (): string => {
  const { publish, subscribe } = agentPermissions(host);
  const list = (subjects: readonly string[]): string => subjects.map((subject) => `\`${subject}\``).join(", ");
  const messages = [
    ["Heartbeat", HeartbeatSchema],
    ["Hello", HelloSchema],
    ["Welcome", WelcomeSchema],
    ["Report", ReportSchema],
    ["AllocationReport", AllocationReportSchema],
    ["Sync", SyncSchema],
    ["Signed", SignedSchema],
    ["DesiredDocument", DesiredDocumentSchema],
    ["DesiredAllocation", DesiredAllocationSchema],
    ["Rpc", RpcSchema],
    ["Chunk", ChunkSchema],
  ] as const;
  return page(
    "The bus",
    "What agents and schedulers say to each other over NATS. `HOST` is the name of a host. An agent is who its subject says it is: the server checks that, and no payload names its sender. Every request is answered with `{ok: true, value}` or `{ok: false, problem}`; see [problems.md](problems.md).",
    "## Subjects",
    table(
      ["Subject", "Direction", "What"],
      Object.keys(Subjects)
        .filter(isName)
        .map((name) => [`\`${subjectOf(name)}\``, ...meanings[name]]),
    ),
    `## What an agent may do

Publish ${list(publish)}; subscribe to ${list(subscribe)}. Nothing else: no other host's subjects, no JetStream, no buckets.`,
    `## The log

Stream \`${Streams.log.name}\`, subject \`${Streams.log.subject}\`. One message is one transaction of at most ${MAX_TRANSACTION_BYTES / 1024} KiB, appended with the expected last sequence. A transaction carries \`version\`, \`epoch\`, \`atMs\`, \`cause\` and its \`records\`:`,
    table(
      ["Kind", "Meaning"],
      Object.entries(kinds).map(([kind, what]) => [`\`${kind}\``, what]),
    ),
    ...RecordSchema.anyOf.flatMap((one) => {
      const kind = one.properties.kind.const;
      return [`### ${kind}`, table(["Field", "Type", "Required", ""], fieldRows(one))];
    }),
    `## Desired documents

Bucket \`${Buckets.desired.name}\`: key = host, history 1, republished to \`host.HOST.desired\`. A document is whole: an allocation that is not in it is not wanted. It is signed with the cluster key (Ed25519), and an agent takes it only when \`(epoch, rev)\` is greater than what it has.`,
    "## Messages",
    "Types that are not here are in [http.md](http.md#documents).",
    ...messages.map(([name, one]) => document(name, one)),
  );
};
