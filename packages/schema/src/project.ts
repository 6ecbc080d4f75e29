/**
 * Projects as records: how much of the cluster each may hold at a time, and how it is weighed against the others. A project
 * exists as soon as something names it; a record only adds to that. Without one there is no quota and the usual weight.
 */
import Type, { type Static } from "#typebox";
import { ProjectNameSchema } from "./ids.ts";
import { FURTHER_DIMENSION, FurtherSchema, MAX_FURTHER } from "./resources.ts";

const strict = { additionalProperties: false } as const;
const whole = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

/** As in the kernel's groups: who has 200 is given twice as much as who has 100 before they count as equal. */
export const DEFAULT_WEIGHT = 100;
export const MAX_WEIGHT = 10_000;
export const WeightSchema = Type.Integer({ minimum: 1, maximum: MAX_WEIGHT });

/**
 * The most that the tasks of a project may hold at a time: how many they are, and what they request together. What is absent
 * is not limited. A task holds what it requests from its placement until it has ended.
 */
export const QuotaSchema = Type.Object(
  {
    tasks: Type.Optional(whole),
    cpuMillis: Type.Optional(whole),
    memoryBytes: Type.Optional(whole),
    pids: Type.Optional(whole),
    more: Type.Optional(FurtherSchema),
  },
  strict,
);
export type Quota = Static<typeof QuotaSchema>;

/** `tasks`, or the name of a dimension. */
export type QuotaDimension = string;

/** What is limited, as pairs: the number of tasks first. */
export const quotaEntries = ({ tasks, more, ...rest }: Quota): readonly (readonly [QuotaDimension, number])[] =>
  [...Object.entries({ tasks, ...rest }), ...Object.entries(more ?? {})].filter(
    (entry): entry is [string, number] => entry[1] !== undefined,
  );

const description = Type.String({ maxLength: 256, description: "what it is for" });
const quantity = (text: string) => Type.Union([Type.String({ maxLength: 32 }), Type.Number()], { description: text });
const many = (text: string) => Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: text });
const weight = Type.Integer({
  minimum: 1,
  maximum: MAX_WEIGHT,
  description: "against other projects, when room is short: twice the weight, twice the share; default: 100",
});

const unconfinedSeccomp = Type.Boolean({
  description: "whether its jobs may do without the filter of system calls, on hosts that permit it; default: false",
});

/** A quota as people write it. */
const QUOTA = {
  tasks: many("tasks at a time"),
  cpu: quantity("CPUs that they request together: 16, 500m"),
  memory: quantity("memory that they request together: 64Gi"),
  pids: many("processes and threads that they request together"),
  disk: quantity("disk space that they request together, volumes not counted: 100Gi"),
};
const NETWORK_QUOTA = {
  ingress: quantity("bits per second that they request together: 2G"),
  egress: quantity("bits per second that they request together: 500M"),
};
const orNone = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()]);
const further = Type.String({ pattern: FURTHER_DIMENSION });
const furtherOptions = { additionalProperties: false, maxProperties: MAX_FURTHER } as const;

export const QuotaDocumentSchema = Type.Object(
  {
    tasks: Type.Optional(QUOTA.tasks),
    cpu: Type.Optional(QUOTA.cpu),
    memory: Type.Optional(QUOTA.memory),
    pids: Type.Optional(QUOTA.pids),
    disk: Type.Optional(QUOTA.disk),
    network: Type.Optional(
      Type.Object(
        { ingress: Type.Optional(NETWORK_QUOTA.ingress), egress: Type.Optional(NETWORK_QUOTA.egress) },
        strict,
      ),
    ),
    more: Type.Optional(Type.Record(further, whole, furtherOptions)),
  },
  strict,
);
export type QuotaDocument = Static<typeof QuotaDocumentSchema>;

/** Null: limited no longer. What is absent stays as it is. */
export const QuotaChangeSchema = Type.Object(
  {
    tasks: Type.Optional(orNone(QUOTA.tasks)),
    cpu: Type.Optional(orNone(QUOTA.cpu)),
    memory: Type.Optional(orNone(QUOTA.memory)),
    pids: Type.Optional(orNone(QUOTA.pids)),
    disk: Type.Optional(orNone(QUOTA.disk)),
    network: Type.Optional(
      Type.Object(
        {
          ingress: Type.Optional(orNone(NETWORK_QUOTA.ingress)),
          egress: Type.Optional(orNone(NETWORK_QUOTA.egress)),
        },
        strict,
      ),
    ),
    more: Type.Optional(Type.Record(further, orNone(whole), furtherOptions)),
  },
  strict,
);
export type QuotaChange = Static<typeof QuotaChangeSchema>;

/** `POST /v1/projects`. */
export const ProjectRequestSchema = Type.Object(
  {
    name: ProjectNameSchema,
    description: Type.Optional(description),
    weight: Type.Optional(weight),
    unconfinedSeccomp: Type.Optional(unconfinedSeccomp),
    quota: Type.Optional(QuotaDocumentSchema),
  },
  strict,
);
export type ProjectRequest = Static<typeof ProjectRequestSchema>;

/** `POST /v1/projects/:project/set`. What is absent stays as it is. */
export const ProjectChangeSchema = Type.Object(
  {
    description: Type.Optional(description),
    weight: Type.Optional(weight),
    unconfinedSeccomp: Type.Optional(unconfinedSeccomp),
    quota: Type.Optional(QuotaChangeSchema),
  },
  strict,
);
export type ProjectChange = Static<typeof ProjectChangeSchema>;

/** A project as the API shows it. */
export const ProjectViewSchema = Type.Object(
  {
    name: ProjectNameSchema,
    /** False: something names it, and nobody has made a record of it. */
    declared: Type.Boolean(),
    description: Type.String(),
    weight: WeightSchema,
    quota: QuotaSchema,
    /** Its jobs may do without the filter of system calls, on hosts that permit it. */
    unconfinedSeccomp: Type.Optional(Type.Literal(true)),
    /** What counts against the quota now: tasks that have not ended, and room that is kept for some. Zeros are absent in `more`. */
    used: Type.Object(
      { tasks: whole, cpuMillis: whole, memoryBytes: whole, pids: whole, more: Type.Optional(FurtherSchema) },
      strict,
    ),
    /** Jobs that have not finished, and how many of their tasks wait. */
    activeJobs: whole,
    pendingTasks: whole,
    /** Of the cluster, 0…1: what it holds of its dominant resource, and held on average lately. */
    share: Type.Number(),
    recentShare: Type.Number(),
    /** Null: not declared. */
    createdBy: Type.Union([Type.String(), Type.Null()]),
    createdAtMs: Type.Union([whole, Type.Null()]),
  },
  strict,
);
export type ProjectView = Static<typeof ProjectViewSchema>;

export const ProjectListSchema = Type.Object(
  { items: Type.Array(ProjectViewSchema), next: Type.Union([Type.String(), Type.Null()]), revision: whole },
  strict,
);
export type ProjectList = Static<typeof ProjectListSchema>;

export const ProjectRemovedSchema = Type.Object({ name: ProjectNameSchema, revision: whole }, strict);
export type ProjectRemoved = Static<typeof ProjectRemovedSchema>;
