/**
 * Which images hosts have, as their agents tell it: live only, never in the log. Each host tells what has changed; whoever
 * has missed something is told all again. Layers are known by digest, so that a host with most of an image's layers is known
 * to need the rest alone. Bounded by the number of hosts and by what one may tell; what hosts have in common is kept once.
 */
import {
  BUILTIN_IMAGE,
  formatImageReference,
  MAX_HELD_IMAGES,
  parseImageReference,
  type FetchRates,
  type Held,
  type HeldImage,
  type HostId,
  type ImageStart,
} from "@berth/schema";
import type { ImageNeed, ImageSight } from "../core/index.ts";
import { isOfCluster } from "./image-sources.ts";

export interface HeldImages extends ImageSight {
  /** Resolves to the revision that is known of this host now; null: it has to tell all. */
  readonly take: (host: HostId, held: Held) => number | null;
  /** Nothing is known of this host from here on: it is gone, or something that it told was missed. */
  readonly forget: (host: HostId) => void;
}

interface Kept {
  readonly session: string;
  revision: number;
  rates: FetchRates;
  readonly images: Map<string, HeldImage>;
  /** How many of its images have each layer. */
  readonly layers: Map<string, number>;
}

type RateName = keyof FetchRates;

/** Names of jobs, as hosts have them: `oci://registry/app` is `oci://registry/app:latest`. */
const fullName = (image: string): string => {
  const reference = parseImageReference(image);
  return reference.ok ? formatImageReference(reference.value) : image;
};

/** As many hosts have it that way, and of those the newest manifest that was told. */
const commonest = (holders: ReadonlyMap<HostId, HeldImage>): HeldImage | undefined => {
  const counts = new Map<string, { count: number; readonly image: HeldImage }>();
  for (const image of holders.values()) {
    const known = counts.get(image.manifest);
    if (known === undefined) counts.set(image.manifest, { count: 1, image });
    else known.count += 1;
  }
  return [...counts.values()].toSorted((a, b) => b.count - a.count || (a.image.manifest < b.image.manifest ? -1 : 1))[0]
    ?.image;
};

const median = (numbers: readonly number[]): number | null =>
  numbers.length === 0 ? null : (numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? null);

const isSame = (left: HeldImage, right: HeldImage): boolean =>
  left.manifest === right.manifest &&
  left.source === right.source &&
  left.layers.length === right.layers.length &&
  left.layers.every(({ bytes, diffId }, at) => bytes === right.layers[at]?.bytes && diffId === right.layers[at].diffId);

/** Digests are long, and thousands of hosts tell the same ones: an image that several have is the one object of the first. */
const createShared = () => {
  const images = new Map<string, { readonly image: HeldImage; users: number }>();
  const keyOf = ({ manifest, name }: HeldImage): string => `${name} ${manifest}`;
  return {
    retain: (image: HeldImage): HeldImage => {
      const known = images.get(keyOf(image));
      if (known === undefined) images.set(keyOf(image), { image, users: 1 });
      else if (isSame(known.image, image)) known.users += 1;
      // One that says something else of it keeps its own.
      else return image;
      return known?.image ?? image;
    },
    release: (image: HeldImage): void => {
      const known = images.get(keyOf(image));
      if (known?.image !== image) return;
      known.users -= 1;
      if (known.users === 0) images.delete(keyOf(image));
    },
  };
};

export const createHeldImages = (): HeldImages => {
  const shared = createShared();
  const hosts = new Map<HostId, Kept>();
  /** By name: who has it. */
  const holders = new Map<string, Map<HostId, HeldImage>>();
  const needs = new Map<string, ImageNeed>();
  let usual: Readonly<Record<RateName, number | null>> | undefined;

  const drop = (host: HostId, kept: Kept, name: string): void => {
    const image = kept.images.get(name);
    if (image === undefined) return;
    kept.images.delete(name);
    shared.release(image);
    for (const { diffId } of image.layers) {
      const left = (kept.layers.get(diffId) ?? 1) - 1;
      if (left === 0) kept.layers.delete(diffId);
      else kept.layers.set(diffId, left);
    }
    const others = holders.get(name);
    others?.delete(host);
    if (others?.size === 0) holders.delete(name);
    needs.delete(name);
  };

  const add = (host: HostId, kept: Kept, told: HeldImage): void => {
    drop(host, kept, told.name);
    if (kept.images.size >= MAX_HELD_IMAGES) return;
    const image = shared.retain(told);
    kept.images.set(image.name, image);
    for (const { diffId } of image.layers) kept.layers.set(diffId, (kept.layers.get(diffId) ?? 0) + 1);
    holders.set(image.name, (holders.get(image.name) ?? new Map<HostId, HeldImage>()).set(host, image));
    needs.delete(image.name);
  };

  const forget = (host: HostId): void => {
    const kept = hosts.get(host);
    if (kept === undefined) return;
    for (const name of [...kept.images.keys()]) drop(host, kept, name);
    hosts.delete(host);
    usual = undefined;
  };

  /** What is usual in the cluster, for hosts that have measured nothing. */
  const usualRates = () => {
    const of = (name: RateName): number | null => median([...hosts.values()].flatMap(({ rates }) => rates[name] ?? []));
    return (usual ??= { registry: of("registry"), cluster: of("cluster") });
  };

  const needOf = (name: string): ImageNeed | undefined => {
    const having = holders.get(name);
    const image = having === undefined ? undefined : commonest(having);
    if (having === undefined || image === undefined) return undefined;
    const from = image.source === "cluster" || isOfCluster(name) ? "cluster" : "registry";
    const startOn = (host: HostId): ImageStart => {
      const kept = hosts.get(host);
      const seen = new Set<string>();
      let fetchBytes = 0;
      for (const { bytes, diffId } of image.layers) {
        if (seen.has(diffId) || kept?.layers.has(diffId) === true) continue;
        seen.add(diffId);
        fetchBytes += bytes;
      }
      if (fetchBytes === 0) return { from: "here", fetchBytes: 0, startMs: 0 };
      const rate = kept?.rates[from] ?? usualRates()[from];
      return { from, fetchBytes, startMs: rate === null || rate === 0 ? null : Math.ceil((fetchBytes * 1_000) / rate) };
    };
    const has = [...having].filter(([, one]) => one.manifest === image.manifest).map(([host]) => host);
    return { holders: has, startOn };
  };

  return {
    of: (image) => {
      if (image === BUILTIN_IMAGE || holders.size === 0) return undefined;
      const name = holders.has(image) ? image : fullName(image);
      const known = needs.get(name);
      if (known !== undefined) return known;
      const made = needOf(name);
      if (made !== undefined) needs.set(name, made);
      return made;
    },

    take: (host, { gone, images, rates, revision, session, since }) => {
      if (since === null) {
        forget(host);
        hosts.set(host, { session, revision, rates, images: new Map(), layers: new Map() });
      }
      const kept = hosts.get(host);
      if (kept === undefined || kept.session !== session || (since !== null && kept.revision !== since)) {
        // Not known is better than what was true once.
        forget(host);
        return null;
      }
      for (const name of gone) drop(host, kept, name);
      for (const image of images) add(host, kept, image);
      if (rates.cluster !== kept.rates.cluster || rates.registry !== kept.rates.registry) usual = undefined;
      kept.rates = rates;
      kept.revision = revision;
      return revision;
    },
    forget,
  };
};
