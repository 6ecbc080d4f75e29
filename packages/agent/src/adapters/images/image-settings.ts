/**
 * What an operator says about the store of images: `images.json` in the data directory of the agent, read again whenever
 * it changes. Everything has a default; a file that is wrong is an error that names the place, and changes nothing.
 */
import { UNPACK_LIMITS, type UnpackLimits } from "@berth/native";
import { Type, type Static, decoder, parseBytes, parseDurationMs } from "@berth/schema";
import { DEFAULT_MARKS, parseMarks, type Marks } from "../../core/images/marks.ts";
import { DEFAULT_LAYER_RETENTION, type RetentionLimits } from "../../core/retention.ts";
import { openSettingsFile } from "../files/settings-file.ts";
import { DEFAULT_PROJECT_LIMITS, type ProjectLimits } from "./project-room.ts";

const strict = { additionalProperties: false } as const;
const uri = Type.String({ maxLength: 1024, pattern: "^(?:https?|file)://[^\\s\\[\\]]+$" });
const mark = Type.String({ maxLength: 32, minLength: 2 });
const SettingsSchema = Type.Object(
  {
    highWater: Type.Optional(mark),
    lowWater: Type.Optional(mark),
    /** Archives of layers beside the unpacked trees: of imported images only, or all. */
    keepArchives: Type.Optional(Type.Enum(["imported", "all"])),
    /** Layers of one image that are fetched at a time, and images. */
    parallelLayers: Type.Optional(Type.Integer({ minimum: 1, maximum: 16 })),
    parallelPulls: Type.Optional(Type.Integer({ minimum: 1, maximum: 64 })),
    /** What may come from other hosts in a second, as a size. */
    clusterBandwidth: Type.Optional(Type.String({ maxLength: 32 })),
    /** Where distributions are built from, instead of where this host's own apt has them from. */
    distros: Type.Optional(
      Type.Object(
        {
          mirror: Type.Optional(uri),
          securityMirror: Type.Optional(uri),
          /** A file with the keys that sign what the mirror has. */
          keyring: Type.Optional(Type.String({ maxLength: 4096, pattern: "^/" })),
          /** The most that a build may take of the disk meanwhile. */
          size: Type.Optional(Type.String({ maxLength: 32 })),
        },
        strict,
      ),
    ),
    /** What ended containers wrote: how many, how long and how much. */
    keptLayers: Type.Optional(
      Type.Object(
        {
          count: Type.Optional(Type.Integer({ minimum: 0, maximum: 100_000 })),
          age: Type.Optional(Type.String({ maxLength: 32 })),
          size: Type.Optional(Type.String({ maxLength: 32 })),
        },
        strict,
      ),
    ),
    /** Images that are made of the containers of one project, snapshots too: how many, and how much they add. */
    projectImages: Type.Optional(
      Type.Object(
        {
          count: Type.Optional(Type.Integer({ minimum: 0, maximum: 100_000 })),
          size: Type.Optional(Type.String({ maxLength: 32 })),
        },
        strict,
      ),
    ),
    limits: Type.Optional(
      Type.Object(
        {
          size: Type.Optional(Type.String({ maxLength: 32 })),
          entries: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000_000 })),
          depth: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
          ratio: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000 })),
        },
        strict,
      ),
    ),
  },
  strict,
);
const decode = decoder(SettingsSchema);

const LEAST_BANDWIDTH = 65_536;

export interface ImageSettings {
  readonly marks: Marks;
  readonly keepArchives: "imported" | "all";
  readonly parallelLayers: number;
  readonly parallelPulls: number;
  /** What may come from other hosts in a second. */
  readonly clusterBytesPerSecond: number;
  readonly keptLayers: RetentionLimits;
  readonly projectImages: ProjectLimits;
  readonly limits: UnpackLimits;
  readonly distros: {
    readonly mirror: string | undefined;
    readonly securityMirror: string | undefined;
    readonly keyring: string | undefined;
    readonly bytes: number;
  };
}

export const DEFAULT_IMAGE_SETTINGS: ImageSettings = {
  marks: DEFAULT_MARKS,
  keepArchives: "imported",
  parallelLayers: 3,
  parallelPulls: 4,
  clusterBytesPerSecond: 64 * 2 ** 20,
  keptLayers: DEFAULT_LAYER_RETENTION,
  projectImages: DEFAULT_PROJECT_LIMITS,
  limits: UNPACK_LIMITS,
  distros: { mirror: undefined, securityMirror: undefined, keyring: undefined, bytes: 8 * 2 ** 30 },
};

/** Rejects with a sentence that names the file and what is wrong in it. */
export type ReadImageSettings = () => Promise<ImageSettings>;

const settingsOf = (given: Static<typeof SettingsSchema>, file: string): ImageSettings => {
  const wrong = (what: string, why: string): never => {
    throw new Error(`${file} ${what}: ${why}`);
  };
  const marks = parseMarks(given.highWater, given.lowWater);
  if (!marks.ok) return wrong("highWater and lowWater", marks.error);
  const size = given.limits?.size === undefined ? undefined : parseBytes(given.limits.size);
  if (size?.ok === false) return wrong("/limits/size", size.error);
  const most = given.distros?.size === undefined ? undefined : parseBytes(given.distros.size);
  if (most?.ok === false) return wrong("/distros/size", most.error);
  const rate = given.clusterBandwidth === undefined ? undefined : parseBytes(given.clusterBandwidth);
  if (rate?.ok === false) return wrong("/clusterBandwidth", rate.error);
  if (rate !== undefined && rate.value < LEAST_BANDWIDTH) return wrong("/clusterBandwidth", "must be at least 64Ki");
  const kept = given.keptLayers ?? {};
  const age = kept.age === undefined ? undefined : parseDurationMs(kept.age);
  if (age?.ok === false) return wrong("/keptLayers/age", age.error);
  const keptSize = kept.size === undefined ? undefined : parseBytes(kept.size);
  if (keptSize?.ok === false) return wrong("/keptLayers/size", keptSize.error);
  const projectSize = given.projectImages?.size === undefined ? undefined : parseBytes(given.projectImages.size);
  if (projectSize?.ok === false) return wrong("/projectImages/size", projectSize.error);
  const usual = DEFAULT_IMAGE_SETTINGS;
  return {
    marks: marks.value,
    keepArchives: given.keepArchives ?? usual.keepArchives,
    parallelLayers: given.parallelLayers ?? usual.parallelLayers,
    parallelPulls: given.parallelPulls ?? usual.parallelPulls,
    clusterBytesPerSecond: rate?.value ?? usual.clusterBytesPerSecond,
    keptLayers: {
      count: kept.count ?? usual.keptLayers.count,
      ageMs: age?.value ?? usual.keptLayers.ageMs,
      bytes: keptSize?.value ?? usual.keptLayers.bytes,
    },
    projectImages: {
      count: given.projectImages?.count ?? usual.projectImages.count,
      bytes: projectSize?.value ?? usual.projectImages.bytes,
    },
    limits: {
      bytes: size?.value ?? usual.limits.bytes,
      entries: given.limits?.entries ?? usual.limits.entries,
      depth: given.limits?.depth ?? usual.limits.depth,
      ratio: given.limits?.ratio ?? usual.limits.ratio,
    },
    distros: {
      mirror: given.distros?.mirror,
      securityMirror: given.distros?.securityMirror,
      keyring: given.distros?.keyring,
      bytes: most?.value ?? usual.distros.bytes,
    },
  };
};

export const openImageSettings = (file: string): ReadImageSettings =>
  openSettingsFile({ file, decode, settingsOf, absent: DEFAULT_IMAGE_SETTINGS });
