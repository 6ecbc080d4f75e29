/** What an operation does, by its kind: work that ends with a result, or an archive that is read. Decides nothing of its life. */
import {
  absurd,
  IMAGE_CHUNK_BYTES,
  problem,
  type AllocationId,
  type ImageRequest,
  type ImageResult,
  type Problem,
  type Result,
} from "@berth/schema";
import type { Inlet } from "../core/inlet.ts";
import { Outlet } from "../core/outlet.ts";
import type { ImageVerbs, ImageWork } from "../ports/images.ts";
import type { Volumes } from "../ports/volumes.ts";
import { messageOf } from "./record-changes.ts";
import type { OpenWritten } from "./written.ts";

/** Opens what a container wrote: pausing it or not, or `standing`: only if it stands still by itself. */
export type OpenTree = (
  id: AllocationId,
  options: { readonly pause: boolean } | "standing",
) => Promise<Result<OpenWritten, Problem>>;

/** Who does it. */
export interface Doers {
  readonly verbs: ImageVerbs;
  readonly volumes: Pick<Volumes, "give" | "take">;
  readonly openTree: OpenTree;
  /** Why there is no archive of this volume now. */
  readonly refuseExport: (volume: string) => Problem | undefined;
}

type RequestOf<K extends ImageRequest["kind"]> = Extract<ImageRequest, { kind: K }>;

/** Carries the problem that says why. */
export class OperationRefused extends Error {
  readonly reason: Problem;

  constructor(reason: Problem) {
    super(reason.detail ?? reason.title);
    this.reason = reason;
  }
}

/** What is read here is let go however reading it ends. */
async function* rootOf(
  { verbs, openTree }: Doers,
  request: RequestOf<"root">,
  work: ImageWork,
): AsyncGenerator<Uint8Array> {
  const opened = await openTree(request.allocation, request);
  if (!opened.ok) throw new OperationRefused(opened.error);
  try {
    yield* verbs.giveRoot(opened.value.tree, work);
  } finally {
    opened.value.release();
  }
}

/** Asked at its first piece: whoever begins to write later finds it being read, and has it given up. */
async function* contentOf(
  { refuseExport, volumes }: Doers,
  { mustExist = false, volume }: RequestOf<"volume_export">,
  { signal }: ImageWork,
): AsyncGenerator<Uint8Array> {
  const refused = refuseExport(volume);
  if (refused !== undefined) throw new OperationRefused(refused);
  try {
    yield* volumes.give({ id: volume, mustExist }, signal);
  } catch (error) {
    throw new OperationRefused(problem("volume.failed", messageOf(error)));
  }
}

const archiveOf = (doers: Doers, request: ImageRequest, work: ImageWork): AsyncIterable<Uint8Array> | undefined => {
  switch (request.kind) {
    case "export":
      return doers.verbs.give(request.image, request.format, work);
    case "root":
      return rootOf(doers, request, work);
    case "volume_export":
      return contentOf(doers, request, work);
    default:
      return undefined;
  }
};

/** Undefined for what is performed. */
export const outletOf = (doers: Doers, request: ImageRequest, work: ImageWork): Outlet | undefined => {
  const archive = archiveOf(doers, request, work);
  return archive === undefined ? undefined : new Outlet(archive, IMAGE_CHUNK_BYTES);
};

/** What an archive is of, in the result of its export. */
export const exportedOf = (request: ImageRequest): string => {
  if (request.kind === "root") return request.allocation;
  if (request.kind === "volume_export") return request.volume;
  return request.kind === "export" ? request.image : "";
};

/** Whether an archive comes in. */
export const isFed = ({ kind }: ImageRequest): boolean => kind === "import" || kind === "volume_import";

const commit = async (
  { verbs, openTree }: Doers,
  request: RequestOf<"commit" | "snapshot">,
  work: ImageWork,
): Promise<ImageResult> => {
  const isNew = request.kind === "snapshot";
  const opened = await openTree(request.allocation, request.kind === "snapshot" ? "standing" : request);
  if (!opened.ok) throw new OperationRefused(opened.error);
  try {
    return { kind: "brought", images: [await verbs.commit(opened.value.tree, request.image, { ...work, isNew })] };
  } finally {
    opened.value.release();
  }
};

const fill = async (
  { volumes }: Doers,
  { mostBytes, volume }: RequestOf<"volume_import">,
  archive: AsyncIterable<Uint8Array>,
  { progress, signal }: ImageWork,
): Promise<ImageResult> => {
  let taken = 0;
  const counted = async function* (): AsyncGenerator<Uint8Array> {
    for await (const piece of archive) {
      taken += piece.length;
      progress.layer(volume, "unpacking", taken, null);
      yield piece;
    }
  };
  const { bytes, entries } = await volumes.take(volume, counted(), { mostBytes, signal });
  progress.layer(volume, "done", taken, taken);
  return { kind: "filled", volume, entries, bytes };
};

export const perform = async (
  doers: Doers,
  { inlet, request }: { readonly request: ImageRequest; readonly inlet: Inlet | undefined },
  work: ImageWork,
): Promise<ImageResult> => {
  const { verbs } = doers;
  switch (request.kind) {
    case "pull":
      return { kind: "brought", images: [await verbs.pull(request.image, work)] };
    case "push":
      return { kind: "pushed", ...(await verbs.push(request.image, request.to, work)) };
    case "import": {
      if (inlet === undefined) throw new Error("an import without an archive");
      const notes: string[] = [];
      const note = (text: string): void => void notes.push(text.slice(0, 1024));
      const images = await verbs.take(inlet, { ...work, note, name: request.name });
      const told = notes.length === 0 ? {} : { notes: notes.slice(0, 16) };
      return { kind: "brought", images: [...new Set(images)].slice(0, 256), ...told };
    }
    case "build": {
      const images = await verbs.build(request.image, request.mirror, work);
      return { kind: "brought", images };
    }
    case "commit":
    case "snapshot":
      return await commit(doers, request, work);
    case "remove":
      return await verbs.remove(request.image);
    case "prune":
      return await verbs.prune(request.all);
    case "check":
      return await verbs.check(request.repair, work);
    case "volume_import":
      if (inlet === undefined) throw new Error("an import without an archive");
      return await fill(doers, request, inlet, work);
    case "export":
    case "root":
    case "volume_export":
      throw new Error("an export is read, not performed");
    default:
      return absurd(request);
  }
};
