/** What ended containers have written, as their hosts keep it for a while, and what can be made of it. */
import Type, { type Static } from "#typebox";
import { AllocationIdSchema, HostIdSchema, JobNameSchema, ProjectNameSchema } from "./ids.ts";
import { ImageNameSchema } from "./image.ts";
import { ProblemSchema } from "./problem.ts";

const strict = { additionalProperties: false } as const;
const whole = Type.Integer({ minimum: 0 });

/** One on its host. `sizeBytes` is null until it was counted, a moment after the end. */
export const KeptLayerSchema = Type.Object(
  {
    allocation: AllocationIdSchema,
    project: ProjectNameSchema,
    job: JobNameSchema,
    index: whole,
    image: Type.String({ maxLength: 640 }),
    endedAtMs: whole,
    sizeBytes: Type.Union([whole, Type.Null()]),
  },
  strict,
);
export type KeptLayer = Static<typeof KeptLayerSchema>;

/** Answer to `layers`: the newest first; `next` is the offset of the next page. */
export const KeptLayerPageSchema = Type.Object(
  { items: Type.Array(KeptLayerSchema, { maxItems: 500 }), next: Type.Union([whole, Type.Null()]) },
  strict,
);
export type KeptLayerPage = Static<typeof KeptLayerPageSchema>;
/** Answer to `layer_remove`. */
export const LayerRemovedSchema = Type.Object({ removed: Type.Boolean() }, strict);
export type LayerRemoved = Static<typeof LayerRemovedSchema>;

/** Those of all hosts that answered, and hosts that did not. */
export const KeptLayerListSchema = Type.Object(
  {
    items: Type.Array(Type.Object({ host: HostIdSchema, layer: KeptLayerSchema }, strict)),
    silent: Type.Array(Type.Object({ host: HostIdSchema, problem: ProblemSchema }, strict)),
  },
  strict,
);
export type KeptLayerList = Static<typeof KeptLayerListSchema>;

/**
 * `POST /v1/allocations/:allocation/commit`. A container that runs is paused while it is read, unless `pause` is false:
 * then what it writes meanwhile may be in the image in part.
 */
export const CommitRequestSchema = Type.Object(
  { image: ImageNameSchema, pause: Type.Optional(Type.Boolean()) },
  strict,
);
export type CommitRequest = Static<typeof CommitRequestSchema>;

export const LayerRpcSchemas = [
  Type.Object({ kind: Type.Literal("layers"), offset: whole }, strict),
  /** What is not there counts as removed. */
  Type.Object({ kind: Type.Literal("layer_remove"), allocation: AllocationIdSchema }, strict),
] as const;
