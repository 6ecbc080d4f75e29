/** Of a host whose images nobody asks about. */
import type { ImageVerbs } from "../ports/images.ts";

const refuse = (): Promise<never> => Promise.reject(new Error("this host keeps no images"));

export const noVerbs: ImageVerbs = {
  list: () => Promise.resolve([]),
  inspect: () => Promise.resolve(undefined),
  pull: refuse,
  push: refuse,
  cannotBuild: () => "this host keeps no images",
  build: refuse,
  take: refuse,
  give: () => ({ [Symbol.asyncIterator]: () => ({ next: refuse }) }),
  commit: refuse,
  giveRoot: () => ({ [Symbol.asyncIterator]: () => ({ next: refuse }) }),
  blob: () => Promise.resolve(undefined),
  remove: refuse,
  prune: refuse,
  check: refuse,
};
