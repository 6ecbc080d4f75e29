/**
 * Which hosts can give an image to another host: those that keep all of its archives. Asks them, remembers the answer for
 * a moment, and lets each blob be read from one of them in turn, so that many readers share many givers. Carries no bytes
 * itself: who gives answers who reads.
 */
import { LRUCache } from "lru-cache";
import {
  err,
  LOCAL_REGISTRY,
  ok,
  parseImageReference,
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
import { createTurns } from "./turns.ts";

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

/** No registry can say what such a name is. Any other is its registry's to say, whatever hosts have imported under it. */
export const isOfCluster = (image: string): boolean => {
  const reference = parseImageReference(image);
  return reference.ok && reference.value.registry === LOCAL_REGISTRY;
};

/** What more hosts have under this name than anything else, so that no single one decides against others. */
const mostCommon = (images: readonly ImageDetail[]): ImageDetail | undefined => {
  const counts = new Map<string, number>();
  for (const { manifest } of images) counts.set(manifest, (counts.get(manifest) ?? 0) + 1);
  const [first, second] = [...counts].toSorted(([, one], [, two]) => two - one);
  if (first === undefined || first[1] === second?.[1]) return undefined;
  return images.find((image) => image.manifest === first[0] && isWhole(image));
};

/**
 * `items`: what hosts say that they have under this name. `manifest`: what a name of the cluster stands for; as long as nobody
 * has said so, it stands for nothing.
 */
export const chooseSource = (
  name: string,
  items: readonly { readonly host: HostId; readonly image: ImageDetail }[],
  manifest: string | undefined,
): Source | undefined => {
  const images = items.map(({ image }) => image);
  const own = isOfCluster(name);
  const best = own ? images.find((image) => image.manifest === manifest && isWhole(image)) : mostCommon(images);
  if (best === undefined) return undefined;
  const giving = items.filter(({ image }) => image.manifest === best.manifest && isWhole(image));
  // Of all of them: one that lies about its layers keeps nobody from those of the others.
  const blobs = giving.flatMap(({ image }) => [image.config, ...image.layers.map((layer) => layer.digest)]);
  return {
    manifest: best.manifest,
    imported: own,
    blobs: new Set([best.manifest, ...blobs]),
    givers: giving.map(({ host }) => host).toSorted(),
  };
};

/** Each question goes to every host. */
const ASKED = { most: 4, maxWaiting: 1_024, patienceMs: 4_000 };
/** Of one host, so that one which asks for ever takes the turns of no other. */
const ASKED_EACH = { most: 2, maxWaiting: 64, patienceMs: 4_000 };

export const createImageSources = (
  images: Pick<AgentImages, "inspect">,
  introduce: Introduce,
  manifestOf: (image: string) => string | undefined,
): ImageSources => {
  const known = new LRUCache<string, Promise<Result<Source | undefined, Problem>>>({
    max: MAX_IMAGES,
    ttl: REMEMBER_MS,
  });
  const refused = (): Problem =>
    problem("request.too_many", "other images are being looked for; ask again in a moment", { retryAfterMs: 2_000 });
  const ofAll = createTurns(ASKED, refused);
  const ofReader = createTurns(ASKED_EACH, refused);
  let turn = 0;

  const ask = (image: string): Promise<Result<Source | undefined, Problem>> =>
    ofAll("", async () => {
      const answer = await images.inspect(image, undefined);
      if (answer.ok) return ok(chooseSource(image, answer.value.items, manifestOf(image)));
      return answer.error.code === "image.not_found" ? ok(undefined) : answer;
    });

  /** Of what the name stands for now. */
  const keyOf = (image: string): string => `${image} ${manifestOf(image) ?? ""}`;

  const asked = (image: string): Promise<Result<Source | undefined, Problem>> => {
    const key = keyOf(image);
    const before = known.get(key);
    if (before !== undefined) return before;
    const asking = ask(image);
    known.set(key, asking);
    /* A failure is not worth remembering. */
    const drop = (): void => void (known.get(key) === asking && known.delete(key));
    asking.then((answer) => {
      if (!answer.ok || answer.value === undefined) drop();
    }, drop);
    return asking;
  };

  const sourceOf = (reader: HostId, image: string): Promise<Result<Source | undefined, Problem>> =>
    known.get(keyOf(image)) ?? ofReader(reader, () => asked(image));

  return {
    find: async (reader, image) => {
      const source = await sourceOf(reader, image);
      if (!source.ok) return source;
      const others = source.value?.givers.some((host) => host !== reader) === true;
      if (source.value === undefined || !others) return ok({ found: null });
      return ok({ found: { manifest: source.value.manifest, imported: source.value.imported } });
    },
    give: async (reader, { digest, image, offset }, replyTo) => {
      const source = await sourceOf(reader, image);
      if (!source.ok) return source;
      const givers = (source.value?.blobs.has(digest) === true ? source.value.givers : []).filter(
        (host) => host !== reader,
      );
      for (let attempt = 0; attempt < givers.length; attempt += 1) {
        turn += 1;
        const giver = givers[turn % givers.length];
        if (giver !== undefined && introduce(giver, { kind: "blob_read", digest, offset }, replyTo)) return ok(true);
      }
      known.delete(keyOf(image));
      return err(problem("image.not_found", `no other host has ${digest} of ${image}`));
    },
    forget: () => known.clear(),
  };
};
