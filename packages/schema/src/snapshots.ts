/**
 * Snapshots: what a container that stands still or has ended wrote, kept under a name. A snapshot is an image, whose name
 * says which task it is of: so whatever can be done with images can be done with it, and any host can start from it.
 */
import Type, { type Static } from "#typebox";
import { HostIdSchema, JobNameSchema, ProjectNameSchema, type JobName, type ProjectName } from "./ids.ts";
import { parseImageReference } from "./image-reference.ts";
import { ProblemSchema } from "./problem.ts";

const strict = { additionalProperties: false } as const;
const whole = Type.Integer({ minimum: 0 });

const nameForm = /^[a-z0-9](?:[a-z0-9_.-]{0,61}[a-z0-9])?$/;
export const SnapshotNameSchema = Type.String({
  pattern: nameForm.source,
  description: "lower case letters, digits and . _ - between them, at most 63",
});

/** One task's snapshot. `name` is unique among those of the task. */
export interface SnapshotId {
  readonly project: ProjectName;
  readonly job: JobName;
  readonly index: number;
  readonly name: string;
}

const FOLDER = "snapshots";

/** The name of its image. */
export const snapshotImage = ({ index, job, name, project }: SnapshotId): string =>
  `oci://local/${project}/${FOLDER}/${job}:${index}.${name}`;

/** Undefined when the image is no snapshot. */
export const snapshotOf = (image: string): SnapshotId | undefined => {
  const reference = parseImageReference(image);
  if (!reference.ok || reference.value.registry !== "local" || reference.value.digest !== undefined) return undefined;
  const [project, folder, job, ...more] = reference.value.repository.split("/");
  const [, index, name] = /^(0|[1-9]\d{0,5})\.(.+)$/.exec(reference.value.tag ?? "") ?? [];
  if (project === undefined || folder !== FOLDER || job === undefined || more.length > 0) return undefined;
  if (index === undefined || name === undefined || !nameForm.test(name)) return undefined;
  return { project: project as ProjectName, job: job as JobName, index: Number(index), name };
};

/** `POST /v1/allocations/:allocation/snapshots`. Without a name it is called by the time. */
export const SnapshotRequestSchema = Type.Object({ name: Type.Optional(SnapshotNameSchema) }, strict);
export type SnapshotRequest = Static<typeof SnapshotRequestSchema>;

/** One on one host. `sizeBytes` counts the layers that it shares with its task's image as well. */
export const SnapshotViewSchema = Type.Object(
  {
    project: ProjectNameSchema,
    job: JobNameSchema,
    index: whole,
    name: SnapshotNameSchema,
    image: Type.String({ maxLength: 640 }),
    host: HostIdSchema,
    sizeBytes: whole,
    /** Allocations there that were started from it. */
    uses: whole,
    madeAtMs: whole,
  },
  strict,
);
export type SnapshotView = Static<typeof SnapshotViewSchema>;

/** Of all hosts that answered, and hosts that did not. */
export const SnapshotListSchema = Type.Object(
  {
    items: Type.Array(SnapshotViewSchema),
    silent: Type.Array(Type.Object({ host: HostIdSchema, problem: ProblemSchema }, strict)),
  },
  strict,
);
export type SnapshotList = Static<typeof SnapshotListSchema>;

/**
 * `POST …/clone`: a job of one task under another name, which starts from the snapshot. `volumes` has to be said of a job
 * that mounts any: whether the clone mounts the same ones, or none.
 */
export const SnapshotCloneSchema = Type.Object(
  { job: JobNameSchema, volumes: Type.Optional(Type.Enum(["same", "none"])) },
  strict,
);
export type SnapshotClone = Static<typeof SnapshotCloneSchema>;
