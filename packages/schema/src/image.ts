/**
 * Images as hosts keep them, and what can be asked about them: lists, and operations (pull, push, import, …), which take
 * their time on a host and tell how far they are. All of it goes through the signed requests of agent.ts.
 */
import Type, { type Static } from "#typebox";
import { AllocationIdSchema, HostIdSchema } from "./ids.ts";
import { ProblemSchema } from "./problem.ts";
import { VolumeIdSchema } from "./volume.ts";

const strict = { additionalProperties: false } as const;
const whole = Type.Integer({ minimum: 0 });
const nullable = <T extends Parameters<typeof Type.Array>[0]>(schema: T) => Type.Union([schema, Type.Null()]);
const digest = Type.String({ pattern: "^sha256:[0-9a-f]{64}$" });

/** Long enough for the longest reference: host, repository, tag and digest. */
export const ImageNameSchema = Type.String({ minLength: 1, maxLength: 640 });
/** As in agent.ts, which imports this file. */
const ImageSessionSchema = Type.String({ pattern: "^[A-Za-z0-9_-]{16,64}$" });
/** Made by whoever starts an operation, so that a request that is repeated starts nothing twice. */
export const ImageOperationIdSchema = Type.String({ pattern: "^[A-Za-z0-9_-]{16,64}$" });
/**
 * Where a host has it from. An import may have no copy elsewhere: it is never collected, only removed by name. `cluster`:
 * another host had it imported, or kept its archives.
 */
export const IMAGE_SOURCES = ["registry", "import", "cluster"] as const;

/** An image on one host. `uses`: allocations there that hold it; `sizeBytes`: its unpacked layers, shared ones included. */
export const ImageOnHostSchema = Type.Object(
  {
    name: ImageNameSchema,
    source: Type.Enum([...IMAGE_SOURCES]),
    manifest: digest,
    sizeBytes: whole,
    layers: whole,
    uses: whole,
    broughtAtMs: whole,
    usedAtMs: whole,
  },
  strict,
);
export type ImageOnHost = Static<typeof ImageOnHostSchema>;
/** Answer to `images`: sorted by name; `next` is the offset of the next page. */
export const ImagePageSchema = Type.Object(
  { items: Type.Array(ImageOnHostSchema, { maxItems: 200 }), next: nullable(whole) },
  strict,
);
export type ImagePage = Static<typeof ImagePageSchema>;

/** One image in full, as its host knows it. */
export const ImageDetailSchema = Type.Object(
  {
    name: ImageNameSchema,
    source: Type.Enum([...IMAGE_SOURCES]),
    manifest: digest,
    config: digest,
    architecture: Type.String(),
    command: Type.Array(Type.String()),
    env: Type.Record(Type.String(), Type.String()),
    workdir: Type.String(),
    user: Type.String(),
    stopSignal: nullable(Type.Integer()),
    machine: Type.Optional(Type.Boolean({ description: "its program is the init of a whole distribution" })),
    layers: Type.Array(
      Type.Object(
        {
          /** Of the archive as the registry has it. */
          digest,
          /** Of the archive without compression: what the unpacked layer is called. */
          diffId: digest,
          archiveBytes: whole,
          sizeBytes: whole,
          /** The archive is kept beside the unpacked layer. */
          archiveHere: Type.Boolean(),
        },
        strict,
      ),
      { maxItems: 64 },
    ),
    /** Allocations that hold it. */
    usedBy: Type.Array(Type.String(), { maxItems: 1000 }),
    broughtAtMs: whole,
    usedAtMs: whole,
  },
  strict,
);
export type ImageDetail = Static<typeof ImageDetailSchema>;

/** What one layer of an operation is at. `totalBytes` is null where nobody knows it yet. */
export const LayerProgressSchema = Type.Object(
  {
    digest: Type.String({ maxLength: 128 }),
    phase: Type.Enum(["waiting", "fetching", "building", "unpacking", "sending", "checking", "done"]),
    doneBytes: whole,
    totalBytes: nullable(whole),
  },
  strict,
);
export type LayerProgress = Static<typeof LayerProgressSchema>;

/** `image` is a distribution, see DistroReference; `mirror` is where from, null for what the host is told to use. */
const BuildSchema = Type.Object(
  {
    kind: Type.Literal("build"),
    image: ImageNameSchema,
    mirror: nullable(Type.String({ maxLength: 1024, pattern: "^https?://[^\\s\\[\\]]+$" })),
  },
  strict,
);
export const IMAGE_FORMATS = ["oci", "docker"] as const;
export const MAX_IMAGE_COPIES = 16;
/** `GET …/image` of an allocation: what its host brings for it now, layer by layer; none when it brings nothing. */
export const ImageBringingSchema = Type.Object(
  { image: Type.String({ maxLength: 640 }), layers: Type.Array(LayerProgressSchema, { maxItems: 256 }) },
  strict,
);
export type ImageBringing = Static<typeof ImageBringingSchema>;

/** What an operation shall do. */
export const ImageRequestSchema = Type.Union([
  /** Asks the registry again, also for a tag that is here. */
  Type.Object({ kind: Type.Literal("pull"), image: ImageNameSchema }, strict),
  /** `to` is another name to push it as; null for its own. */
  Type.Object({ kind: Type.Literal("push"), image: ImageNameSchema, to: nullable(ImageNameSchema) }, strict),
  /** The archive follows in `image_write`. `name`: what a lone image is called; null when the archive says so. */
  Type.Object({ kind: Type.Literal("import"), name: nullable(ImageNameSchema) }, strict),
  /** The archive is read by `image_read`. */
  Type.Object({ kind: Type.Literal("export"), image: ImageNameSchema, format: Type.Enum([...IMAGE_FORMATS]) }, strict),
  BuildSchema,
  /** What the container has written becomes the uppermost layer of an image. */
  Type.Object(
    { kind: Type.Literal("commit"), allocation: AllocationIdSchema, image: ImageNameSchema, pause: Type.Boolean() },
    strict,
  ),
  /** The same of one that stands still or has ended, under a name that no image has. */
  Type.Object({ kind: Type.Literal("snapshot"), allocation: AllocationIdSchema, image: ImageNameSchema }, strict),
  /** All that the container sees, as an archive that is read by `image_read`. */
  Type.Object({ kind: Type.Literal("root"), allocation: AllocationIdSchema, pause: Type.Boolean() }, strict),
  /** What is in a volume, in the same way; given up when somebody begins to write it. `mustExist` as in `volume_fill`. */
  Type.Object(
    { kind: Type.Literal("volume_export"), volume: VolumeIdSchema, mustExist: Type.Optional(Type.Boolean()) },
    strict,
  ),
  /** A volume that is not here yet is made of the archive that follows in `image_write`. Null: as large as it may be. */
  Type.Object({ kind: Type.Literal("volume_import"), volume: VolumeIdSchema, mostBytes: nullable(whole) }, strict),
  Type.Object({ kind: Type.Literal("remove"), image: ImageNameSchema }, strict),
  /** What no name leads to; with `all` also images that no allocation uses and that a registry has. */
  Type.Object({ kind: Type.Literal("prune"), all: Type.Boolean() }, strict),
  /** Reads everything and compares it with its digest. With `repair`, what is damaged is removed, to be brought again. */
  Type.Object({ kind: Type.Literal("check"), repair: Type.Boolean() }, strict),
]);
export type ImageRequest = Static<typeof ImageRequestSchema>;

/** One thing that `check` found. */
export const ImageFaultSchema = Type.Object(
  { what: Type.Enum(["blob", "layer", "image"]), name: Type.String(), reason: Type.String() },
  strict,
);
export type ImageFault = Static<typeof ImageFaultSchema>;

export const ImageResultSchema = Type.Union([
  /** Of pull, import, commit, snapshot and build: names that can be run now. */
  Type.Object(
    {
      kind: Type.Literal("brought"),
      images: Type.Array(ImageNameSchema, { maxItems: 256 }),
      /** What else is to be known of them, as sentences. */
      notes: Type.Optional(Type.Array(Type.String({ maxLength: 1024 }), { maxItems: 16 })),
    },
    strict,
  ),
  Type.Object({ kind: Type.Literal("pushed"), image: ImageNameSchema, manifest: digest }, strict),
  /** Of an import of a volume. */
  Type.Object({ kind: Type.Literal("filled"), volume: VolumeIdSchema, entries: whole, bytes: whole }, strict),
  /** `image`: its name, or the id of the allocation whose root it was, or of the volume. */
  Type.Object({ kind: Type.Literal("exported"), image: ImageNameSchema, sizeBytes: whole }, strict),
  Type.Object(
    {
      kind: Type.Literal("removed"),
      images: Type.Array(ImageNameSchema, { maxItems: 10_000 }),
      layers: whole,
      blobs: whole,
      freedBytes: whole,
    },
    strict,
  ),
  Type.Object(
    {
      kind: Type.Literal("checked"),
      images: whole,
      layers: whole,
      blobs: whole,
      /** Layers that were unpacked by a version that did not seal them: there is nothing to compare them with. */
      unsealed: whole,
      faults: Type.Array(ImageFaultSchema, { maxItems: 1000 }),
    },
    strict,
  ),
]);
export type ImageResult = Static<typeof ImageResultSchema>;

/** An operation as it stands. `revision` grows with every change. */
export const ImageOperationSchema = Type.Object(
  {
    id: ImageOperationIdSchema,
    kind: Type.Enum([
      "pull",
      "push",
      "import",
      "export",
      "commit",
      "snapshot",
      "root",
      "volume_export",
      "volume_import",
      "build",
      "remove",
      "prune",
      "check",
    ]),
    image: nullable(ImageNameSchema),
    state: Type.Enum(["running", "succeeded", "failed"]),
    /** A sentence for people. */
    error: nullable(Type.String()),
    layers: Type.Array(LayerProgressSchema, { maxItems: 256 }),
    result: nullable(ImageResultSchema),
    revision: whole,
  },
  strict,
);
export type ImageOperation = Static<typeof ImageOperationSchema>;

/** Answer to `image_operations`: those that run, of files of containers and volumes none; of each no more layers than this. */
export const MAX_SHOWN_LAYERS = 64;
export const RunningOperationsSchema = Type.Object(
  { items: Type.Array(ImageOperationSchema, { maxItems: 32 }) },
  strict,
);
export type RunningOperations = Static<typeof RunningOperationsSchema>;
/** `GET /v1/images/operations`: of all hosts that answered, and hosts that did not. */
export const ImageOperationListSchema = Type.Object(
  {
    items: Type.Array(Type.Object({ host: HostIdSchema, operation: ImageOperationSchema }, strict)),
    silent: Type.Array(Type.Object({ host: HostIdSchema, problem: ProblemSchema }, strict)),
  },
  strict,
);
export type ImageOperationList = Static<typeof ImageOperationListSchema>;

/**
 * `POST /v1/images/operations`. Without `hosts`: every host that answers, but for a build, which is on one. `copies`, of a pull or an import: so many of
 * them, as the scheduler likes; the others take it from there when they need it.
 */
export const ImageOrderSchema = Type.Object(
  {
    hosts: Type.Optional(Type.Array(HostIdSchema, { minItems: 1, maxItems: 1000 })),
    copies: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_IMAGE_COPIES })),
    request: Type.Union([
      Type.Object({ kind: Type.Literal("pull"), image: ImageNameSchema }, strict),
      Type.Object({ kind: Type.Literal("push"), image: ImageNameSchema, to: nullable(ImageNameSchema) }, strict),
      /** The archive follows, in pieces. */
      Type.Object({ kind: Type.Literal("import"), name: nullable(ImageNameSchema) }, strict),
      BuildSchema,
      Type.Object({ kind: Type.Literal("remove"), image: ImageNameSchema }, strict),
      Type.Object({ kind: Type.Literal("prune"), all: Type.Boolean() }, strict),
      Type.Object({ kind: Type.Literal("check"), repair: Type.Boolean() }, strict),
    ]),
  },
  strict,
);
export type ImageOrder = Static<typeof ImageOrderSchema>;

/** What became of an order on each host: an operation that runs there under this id, or why there is none. */
export const ImageOrdersSchema = Type.Object(
  {
    id: ImageOperationIdSchema,
    items: Type.Array(
      Type.Object(
        { host: HostIdSchema, operation: nullable(ImageOperationSchema), problem: nullable(ProblemSchema) },
        strict,
      ),
    ),
  },
  strict,
);
export type ImageOrders = Static<typeof ImageOrdersSchema>;

/** `POST /v1/images/names`: what a name of the cluster, `oci://local/…`, stands for from now on; null: for nothing. */
export const NameImageSchema = Type.Object({ image: ImageNameSchema, manifest: nullable(digest) }, strict);
export type NameImage = Static<typeof NameImageSchema>;
/** `image`: its name in full. */
export const ImageNamedSchema = Type.Object(
  { image: ImageNameSchema, manifest: nullable(digest), revision: whole },
  strict,
);
export type ImageNamed = Static<typeof ImageNamedSchema>;
export const MAX_IMAGE_NAMES = 10_000;

/** What each host took of a piece of an archive: bytes so far, or why it takes no more. */
export const ImageDataTakenSchema = Type.Object(
  {
    items: Type.Array(
      Type.Object({ host: HostIdSchema, offset: nullable(whole), problem: nullable(ProblemSchema) }, strict),
    ),
  },
  strict,
);
export type ImageDataTaken = Static<typeof ImageDataTakenSchema>;
/** Of one request with a piece of an archive. */
export const MAX_IMAGE_DATA_BYTES = 2 ** 20;

/** Images of all hosts that answered, and hosts that did not. */
export const ImageListSchema = Type.Object(
  {
    items: Type.Array(Type.Object({ host: HostIdSchema, image: ImageOnHostSchema }, strict)),
    silent: Type.Array(Type.Object({ host: HostIdSchema, problem: ProblemSchema }, strict)),
  },
  strict,
);
export type ImageList = Static<typeof ImageListSchema>;
export const ImageDetailsSchema = Type.Object(
  { items: Type.Array(Type.Object({ host: HostIdSchema, image: ImageDetailSchema }, strict)) },
  strict,
);
export type ImageDetails = Static<typeof ImageDetailsSchema>;

/** Bytes of one `image_write` or `image_read`; base64 makes it a third more, which the bus still carries. */
export const IMAGE_CHUNK_BYTES = 262_144;
export const ImageRpcSchemas = [
  Type.Object({ kind: Type.Literal("images"), offset: whole }, strict),
  Type.Object({ kind: Type.Literal("image"), image: ImageNameSchema }, strict),
  Type.Object({ kind: Type.Literal("image_start"), id: ImageOperationIdSchema, request: ImageRequestSchema }, strict),
  /** Answers when the operation differs from `revision`, or after `waitMs`. */
  Type.Object(
    {
      kind: Type.Literal("image_watch"),
      id: ImageOperationIdSchema,
      revision: whole,
      waitMs: Type.Integer({ minimum: 0, maximum: 10_000 }),
    },
    strict,
  ),
  /** What runs of operations that somebody ordered: RunningOperations. */
  Type.Object({ kind: Type.Literal("image_operations") }, strict),
  /** What is brought for an allocation that is being prepared: an ImageBringing. */
  Type.Object({ kind: Type.Literal("image_bringing"), allocation: AllocationIdSchema }, strict),
  Type.Object({ kind: Type.Literal("image_cancel"), id: ImageOperationIdSchema }, strict),
  /** The next bytes of an archive that is imported, answered once they are taken. In order; the last one says so. */
  Type.Object(
    {
      kind: Type.Literal("image_write"),
      id: ImageOperationIdSchema,
      offset: whole,
      data: Type.String({ maxLength: 349_528 }),
      last: Type.Boolean(),
    },
    strict,
  ),
  /** The next bytes of an archive that is exported; the same offset again gives the same bytes again. */
  Type.Object({ kind: Type.Literal("image_read"), id: ImageOperationIdSchema, offset: whole }, strict),
  /**
   * Bytes of a blob, for another host: the answer goes there, not to the scheduler, and is no JSON but the bytes, with
   * the size of the whole blob in the header `Berth-Size`.
   */
  Type.Object({ kind: Type.Literal("blob_read"), digest, offset: whole }, strict),
] as const;
/** Answer to `image_write`: how many bytes were taken so far. */
export const ImageWrittenSchema = Type.Object({ offset: whole }, strict);
export type ImageWritten = Static<typeof ImageWrittenSchema>;

/** `api.<host>.image`: has another host of the cluster all archives of this image? */
export const FindImageSchema = Type.Object({ session: ImageSessionSchema, image: ImageNameSchema }, strict);
export type FindImage = Static<typeof FindImageSchema>;
/** `imported`: its name is the cluster's own, whatever a registry says. Null: nobody has it. */
export const FoundImageSchema = Type.Object(
  { found: nullable(Type.Object({ manifest: digest, imported: Type.Boolean() }, strict)) },
  strict,
);
export type FoundImage = Static<typeof FoundImageSchema>;

/** `api.<host>.blob`: bytes of a blob of such an image. Answered by a host that has it, or by the leader with a problem. */
export const BlobRequestSchema = Type.Object(
  { session: ImageSessionSchema, image: ImageNameSchema, digest, offset: whole },
  strict,
);
export type BlobRequest = Static<typeof BlobRequestSchema>;
/** Of one answer: half of what the bus carries. */
export const BLOB_CHUNK_BYTES = 524_288;
export const BLOB_SIZE_HEADER = "Berth-Size";
