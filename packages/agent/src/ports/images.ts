/** What the agent needs of images. */
import type {
  FetchRates,
  HeldImage,
  ImageDetail,
  ImageOnHost,
  ImageResult,
  LayerProgress,
  Problem,
  Result,
} from "@berth/schema";
import type { BlobPiece } from "./line.ts";
import type { PreparedImage } from "../core/images/prepared.ts";
import type { Progress } from "../core/images/progress.ts";

type ResultOf<K extends ImageResult["kind"]> = Extract<ImageResult, { kind: K }>;

/** What one container wrote, and what it wrote over. It is there until it is released. */
export interface WrittenTree {
  readonly allocation: string;
  /** A directory as overlayfs keeps it: elsewhere when the container ends. To be asked when it is opened. */
  readonly directory: () => string;
  /** Nothing is written there, if that was asked for, until what it resolves to is called, which never rejects. */
  readonly still: () => Promise<() => Promise<void>>;
  /** Throws a sentence if it should have stood still and did not, so that what was read is not of one moment. */
  readonly checkStood?: () => void;
  /** Directories below it, topmost first. */
  readonly layers: readonly string[];
  readonly image: string;
  readonly idBase: number;
  /** What it was run with; empty where its image said so. */
  readonly command: readonly string[];
  readonly workdir: string;
  readonly user: string;
}

export interface ImageWork {
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** Something that the user should know beside the result. */
  readonly note?: (text: string) => void;
}

/** Images that other hosts of the cluster have; how they are reached is the line's business. */
export interface ClusterImages {
  /** Undefined when nobody has it, or nobody can be asked now. Never rejects. */
  readonly find: (image: string) => Promise<{ readonly manifest: string; readonly imported: boolean } | undefined>;
  /** At most BLOB_CHUNK_BYTES from `offset` on, and the size of the whole blob. */
  readonly read: (image: string, digest: string, offset: number) => Promise<Result<BlobPiece, Problem>>;
}

/** What can be asked of a host's images. Whatever fails rejects with a sentence for the user. */
export interface ImageVerbs {
  readonly list: () => Promise<ImageOnHost[]>;
  /** Undefined when there is none of this name. */
  readonly inspect: (image: string) => Promise<ImageDetail | undefined>;
  /** Asks the registry, whatever is here; resolves to the name in full. */
  readonly pull: (image: string, work: ImageWork) => Promise<string>;
  readonly push: (
    image: string,
    to: string | null,
    work: ImageWork,
  ) => Promise<{ readonly image: string; readonly manifest: string }>;
  /** A sentence when this host cannot build distributions at all. */
  readonly cannotBuild: () => string | undefined;
  /** Builds a distribution (`distro://…`) from a mirror, null for the one that this host is told to use. */
  readonly build: (image: string, mirror: string | null, work: ImageWork) => Promise<string[]>;
  /** Imports an archive as it comes; resolves to the names that can be run now. */
  readonly take: (
    archive: AsyncIterable<Uint8Array>,
    work: ImageWork & { readonly name: string | null },
  ) => Promise<string[]>;
  /** Exports an archive, piece by piece. */
  readonly give: (image: string, format: "oci" | "docker", work: ImageWork) => AsyncIterable<Uint8Array>;
  /** Makes an image of what a container wrote; resolves to its name in full. `isNew`: only if no image is called so. */
  readonly commit: (
    written: WrittenTree,
    image: string,
    work: ImageWork & { readonly isNew: boolean },
  ) => Promise<string>;
  /** All that a container saw, as an archive, piece by piece. */
  readonly giveRoot: (written: WrittenTree, work: ImageWork) => AsyncIterable<Uint8Array>;
  /** Bytes of a blob from `offset` on, at most BLOB_CHUNK_BYTES; undefined when it is not here. */
  readonly blob: (digest: string, offset: number) => Promise<BlobPiece | undefined>;
  readonly remove: (image: string) => Promise<ResultOf<"removed">>;
  readonly prune: (all: boolean) => Promise<ResultOf<"removed">>;
  readonly check: (repair: boolean, work: ImageWork) => Promise<ResultOf<"checked">>;
}

export interface PrepareOptions {
  readonly signal: AbortSignal;
  /** First of the container's ids; absent when nothing is to be started from it. */
  readonly idBase?: number;
  /** Of the only image that may be started under this name; absent where nobody has said. */
  readonly manifest?: string;
}

export interface Images {
  /** Brings what is not here yet, and holds it for `holder`. A failure is a sentence for the user; never rejects. */
  readonly prepare: (image: string, holder: string, options: PrepareOptions) => Promise<Result<PreparedImage, string>>;
  /** Its container is gone; what it holds is only read from now on. */
  readonly unmount: (holder: string) => Promise<void>;
  /** What it held may be collected from now on. */
  readonly release: (holder: string) => Promise<void>;
  readonly holders: () => readonly string[];
  /** Directories that `holder` of this image has mounted, topmost first; undefined when it holds nothing of it. */
  readonly layersOf: (image: string, holder: string) => readonly string[] | undefined;
  /** How many bytes the disk is too full by, as its marks say; 0 when they are of the store alone. */
  readonly excess: () => Promise<number>;
  /** Removes what is not needed when the disk is too full; resolves to bytes freed. */
  readonly collect: () => Promise<number>;
  /** How far it is that an image is being brought for whoever waits for it; empty when it is not. */
  readonly bringing: (image: string) => LayerProgress[];
  /** Images whose layers are all unpacked here, those used last first. */
  readonly held: () => Promise<readonly HeldImage[]>;
  /** Another number whenever `held` may be another thing. */
  readonly heldChanges: () => number;
  /** How fast images came here so far. */
  readonly fetchRates: () => FetchRates;
  readonly verbs: ImageVerbs;
}
