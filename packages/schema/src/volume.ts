/**
 * Volumes: data of a project that outlives the allocations that use it. A volume lies on one host. Which one, its first
 * placement decides, and from then on whatever mounts it goes there.
 */
import Type, { type Static } from "#typebox";
import { AllocationIdSchema, HostIdSchema, JobNameSchema, ProjectNameSchema } from "./ids.ts";

const strict = { additionalProperties: false } as const;
const whole = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const size = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
const LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";

export const VolumeNameSchema = Type.String({
  pattern: `^${LABEL}$`,
  description: "Volume: 1 to 63 lower-case letters, digits and dashes, starting and ending with a letter or digit",
});

export const isVolumeName = (text: string): boolean => new RegExp(`^${LABEL}$`).test(text);

/**
 * `project.name.generation`. A generation is never used again, so that nothing that was said of a volume can be taken for
 * something about a later one of the same name. Also the name of its directory.
 */
export const VolumeIdSchema = Type.String({ pattern: `^${LABEL}\\.${LABEL}\\.[0-9]{1,16}$`, maxLength: 144 });

/** The name of a volume as a task has it: `${INDEX}` is its index, so that each task of a job keeps its own. */
export const volumeNameOf = (template: string, index: number): string => template.replaceAll(INDEX, String(index));

const INDEX = "${INDEX}";

/**
 * A task, of so many, for which both names are one volume; undefined when there is none. Without trying all of them: where
 * only one of the names has its index, the other one says what the digits of that index are.
 */
export const taskOfBoth = (one: string, other: string, count: number): number | undefined => {
  const [here, there] = [one.indexOf(INDEX), other.indexOf(INDEX)];
  if (here === there) {
    if (here < 0) return one === other ? 0 : undefined;
    const rest = here + INDEX.length;
    if (one.slice(0, here) !== other.slice(0, here)) return undefined;
    return taskOfBoth(one.slice(rest), other.slice(rest), count);
  }
  const isOther = here < 0 || (there >= 0 && there < here);
  const at = isOther ? there : here;
  const says = isOther ? one : other;
  for (let digits = 1; digits <= String(count - 1).length; digits += 1) {
    let text = "";
    // Where that one has its index as well, the digits begin anew.
    for (const period = says.indexOf(INDEX) - at; text.length < digits;) {
      text += (period > 0 && text.length >= period ? text[text.length - period] : says[at + text.length]) ?? "-";
    }
    const index = /^(0|[1-9][0-9]*)$/.test(text) ? Number(text) : count;
    if (index < count && volumeNameOf(one, index) === volumeNameOf(other, index)) return index;
  }
  return undefined;
};

/** Of the operation on its host that makes a volume of an archive: one for each. Its generation is of no other volume. */
export const volumeImportId = (id: string): string =>
  `volume-import-${id.slice(id.lastIndexOf(".") + 1).padStart(8, "0")}`;

/** Dimension in which sizes of volumes are booked. */
export const DISK = "diskBytes";

/**
 * In the inventory of a host without project quotas, and of agents that know of none. Told to whoever asks for sizes; a host
 * without this sentence is told sizes itself.
 */
export const VOLUME_SIZES_NOT_ENFORCED =
  "sizes of volumes: booked, but a volume may grow beyond its size while the disk has room";

/** The same of the disk that tasks request for themselves. */
export const TASK_DISK_NOT_ENFORCED =
  "disk of tasks: booked, but what a task writes over its image may grow beyond it while the disk has room (no project quotas)";

/**
 *   new ─(first use)─► ready ─► removing ─► (gone)
 *   filling ─(copied)──► ready
 *
 * `new`: nothing has used it, so it may have no directory yet. `filling`: its content is being brought. Only `new` and
 * `ready` ones can be mounted.
 */
export const VOLUME_STATES = ["new", "filling", "ready", "removing"] as const;
export const VolumeStateSchema = Type.Enum([...VOLUME_STATES]);
export type VolumeState = Static<typeof VolumeStateSchema>;

/**
 * What an agent has to know of a volume that an allocation mounts. `mustExist`: an empty one would be a loss. `sizeBytes`: what
 * it may hold when it is made, only for hosts that enforce it.
 */
export const DesiredVolumeSchema = Type.Object(
  { name: VolumeNameSchema, id: VolumeIdSchema, mustExist: Type.Boolean(), sizeBytes: Type.Optional(size) },
  strict,
);
export type DesiredVolume = Static<typeof DesiredVolumeSchema>;

/** A volume as the API shows it. `sizeBytes` 0: nothing is booked for it. */
export const VolumeViewSchema = Type.Object(
  {
    project: ProjectNameSchema,
    name: VolumeNameSchema,
    id: VolumeIdSchema,
    host: HostIdSchema,
    /** `removed`: the host is no longer one of the cluster. */
    hostState: Type.String({ maxLength: 32 }),
    state: VolumeStateSchema,
    sizeBytes: whole,
    readOnly: Type.Boolean(),
    /** The volume it was copied from. */
    from: Type.Union([VolumeNameSchema, Type.Null()]),
    createdAtMs: whole,
    createdBy: Type.String({ maxLength: 256 }),
    usedBy: Type.Array(
      Type.Object(
        {
          allocation: AllocationIdSchema,
          job: JobNameSchema,
          index: Type.Integer({ minimum: 0 }),
          readOnly: Type.Boolean(),
        },
        strict,
      ),
      { maxItems: 1000 },
    ),
  },
  strict,
);
export type VolumeView = Static<typeof VolumeViewSchema>;

export const VolumeListSchema = Type.Object(
  { items: Type.Array(VolumeViewSchema), next: Type.Union([Type.String(), Type.Null()]), revision: whole },
  strict,
);
export type VolumeList = Static<typeof VolumeListSchema>;

/** `POST /v1/volumes`. Without a host, the one with the best room is chosen. */
export const VolumeRequestSchema = Type.Object(
  {
    project: Type.Optional(ProjectNameSchema),
    name: VolumeNameSchema,
    host: Type.Optional(HostIdSchema),
    size: Type.Optional(
      Type.Union([Type.String({ maxLength: 32 }), Type.Number()], { description: "booked on its host: 10Gi" }),
    ),
    /** Its content follows as an archive (`volumeData`); until all of it is there nothing can mount it. */
    import: Type.Optional(Type.Boolean()),
  },
  strict,
);
export type VolumeRequest = Static<typeof VolumeRequestSchema>;

/** A volume as its host has it on disk. `usedBytes`: blocks of its files. */
export const VolumeOnHostSchema = Type.Object({ id: VolumeIdSchema, usedBytes: whole, entries: whole }, strict);
export type VolumeOnHost = Static<typeof VolumeOnHostSchema>;

/** One volume in full. `onHost` is null when its host does not answer, or has nothing of it yet. */
export const VolumeDetailSchema = Type.Object(
  { volume: VolumeViewSchema, onHost: Type.Union([VolumeOnHostSchema, Type.Null()]), revision: whole },
  strict,
);
export type VolumeDetail = Static<typeof VolumeDetailSchema>;

/** `removing`: its host does not answer, and deletes it when it does. */
export const VolumeRemovedSchema = Type.Object(
  {
    project: ProjectNameSchema,
    name: VolumeNameSchema,
    /** Null: it was gone before this was asked, by the same request. */
    host: Type.Union([HostIdSchema, Type.Null()]),
    state: Type.Enum(["removed", "removing"]),
    revision: whole,
  },
  strict,
);
export type VolumeRemoved = Static<typeof VolumeRemovedSchema>;

/** `POST /v1/volumes/:project/:volume/copies`. A snapshot can be mounted for reading alone. */
export const VolumeCopyRequestSchema = Type.Object(
  { name: VolumeNameSchema, snapshot: Type.Optional(Type.Boolean()) },
  strict,
);
export type VolumeCopyRequest = Static<typeof VolumeCopyRequestSchema>;

/** How far a host is with bringing the content of a volume. `absent`: it has not begun. */
export const VolumeFillSchema = Type.Object(
  {
    state: Type.Enum(["absent", "copying", "ready", "failed"]),
    /** Why it failed, as a sentence. */
    error: Type.Union([Type.String(), Type.Null()]),
  },
  strict,
);
export type VolumeFill = Static<typeof VolumeFillSchema>;

/**
 * Answer to a piece of an archive: `offset` bytes were taken so far. After the last piece: `filling` until all is on disk;
 * that piece may be sent again to ask.
 */
export const VolumeTakenSchema = Type.Object({ offset: whole, state: VolumeStateSchema }, strict);
export type VolumeTaken = Static<typeof VolumeTakenSchema>;

export const VolumeRpcSchemas = [
  Type.Object({ kind: Type.Literal("volume_stat"), id: VolumeIdSchema }, strict),
  /**
   * Begins to copy it from another one, unless it is there or being copied already; says how far that is. Without
   * `mustExist`, one that has no directory is one that nobody has used yet. `sizeBytes` as in a desired document.
   */
  Type.Object(
    {
      kind: Type.Literal("volume_fill"),
      id: VolumeIdSchema,
      from: VolumeIdSchema,
      mustExist: Type.Optional(Type.Boolean()),
      sizeBytes: Type.Optional(size),
    },
    strict,
  ),
  /** How far its import is: a VolumeFill. */
  Type.Object({ kind: Type.Literal("volume_filling"), id: VolumeIdSchema }, strict),
  /** Deletes it; what is not there counts as deleted. */
  Type.Object({ kind: Type.Literal("volume_remove"), id: VolumeIdSchema }, strict),
] as const;
