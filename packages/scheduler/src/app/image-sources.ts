/**
 * Which hosts can give an image to another host: those that keep all of its archives. Asks them, remembers the answer for
 * a moment, and lets each blob be read from one of them in turn, so that many readers share many givers. Carries no bytes
 * itself: who gives answers who reads.
 */
import { LRUCache } from "lru-cache";
import {
  err,
  ok,
  problem,
  type BlobRequest,
  type FoundImage,
  type HostId,
  type ImageDetail,
  type Problem,
  type Result,
} from "@berth/schema";
import type { AgentImages } from "./agent-images.ts";
import type { Introduce } from "./agent-rpc.ts";

export interface ImageSources {
  readonly find: (reader: HostId, image: string) => Promise<Result<FoundImage, Problem>>;
  /** Ok: a host that has the blob was asked to answer the reader. */
  readonly give: (reader: HostId, request: BlobRequest, replyTo: string) => Promise<Result<true, Problem>>;
  /** Something may have changed: hosts are asked anew. */
  readonly forget: () => void;
}

interface Source {
  readonly manifest: string;
  readonly imported: boolean;
  readonly blobs: ReadonlySet<string>;
  readonly givers: readonly HostId[];
}

const REMEMBER_MS = 15_000;
const MAX_IMAGES = 1_000;

const isWhole = ({ layers }: ImageDetail): boolean => layers.every(({ archiveHere }) => archiveHere);

/** Imported before anything else, then the newest: hosts may keep different images under one name. */
const better = (one: ImageDetail, two: ImageDetail): number =>
  Number(two.source === "import") - Number(one.source === "import") || two.broughtAtMs - one.broughtAtMs;

export const chooseSource = (
  items: readonly { readonly host: HostId; readonly image: ImageDetail }[],
): Source | undefined => {
  const whole = items.filter(({ image }) => isWhole(image));
  const best = whole.map(({ image }) => image).toSorted(better)[0];
  if (best === undefined) return undefined;
  return {
    manifest: best.manifest,
    imported: best.source === "import",
    blobs: new Set([best.manifest, best.config, ...best.layers.map((layer) => layer.digest)]),
    givers: whole.flatMap(({ host, image }) => (image.manifest === best.manifest ? [host] : [])).toSorted(),
  };
};

export const createImageSources = (images: Pick<AgentImages, "inspect">, introduce: Introduce): ImageSources => {
  const known = new LRUCache<string, Promise<Result<Source | undefined, Problem>>>({
    max: MAX_IMAGES,
    ttl: REMEMBER_MS,
  });
  let turn = 0;

  const ask = async (image: string): Promise<Result<Source | undefined, Problem>> => {
    const answer = await images.inspect(image, undefined);
    if (answer.ok) return ok(chooseSource(answer.value.items));
    return answer.error.code === "image.not_found" ? ok(undefined) : answer;
  };

  const sourceOf = (image: string): Promise<Result<Source | undefined, Problem>> => {
    const before = known.get(image);
    if (before !== undefined) return before;
    const asking = ask(image);
    known.set(image, asking);
    /* A failure is not worth remembering. */
    const drop = (): void => void (known.get(image) === asking && known.delete(image));
    asking.then((answer) => {
      if (!answer.ok || answer.value === undefined) drop();
    }, drop);
    return asking;
  };

  return {
    find: async (reader, image) => {
      const source = await sourceOf(image);
      if (!source.ok) return source;
      const others = source.value?.givers.some((host) => host !== reader) === true;
      if (source.value === undefined || !others) return ok({ found: null });
      return ok({ found: { manifest: source.value.manifest, imported: source.value.imported } });
    },
    give: async (reader, { digest, image, offset }, replyTo) => {
      const source = await sourceOf(image);
      if (!source.ok) return source;
      const givers = (source.value?.blobs.has(digest) === true ? source.value.givers : []).filter(
        (host) => host !== reader,
      );
      for (let attempt = 0; attempt < givers.length; attempt += 1) {
        turn += 1;
        const giver = givers[turn % givers.length];
        if (giver !== undefined && introduce(giver, { kind: "blob_read", digest, offset }, replyTo)) return ok(true);
      }
      known.delete(image);
      return err(problem("image.not_found", `no other host has ${digest} of ${image}`));
    },
    forget: () => known.clear(),
  };
};
