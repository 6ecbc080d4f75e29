/**
 * Request classes: tasks that ask for the same are the same question to the packer. A class lives as long as a job
 * refers to it; its id is never used again, so that whatever is remembered under an id stays true.
 */
import type { Resources } from "@berth/schema";
import { toVector, type Vector } from "./feasibility.ts";

export interface RequestClass {
  readonly id: number;
  readonly request: Vector;
}

/** The id of requests that no job has: nothing is remembered about them. */
export const PASSING_CLASS_ID = 0;

/** A class for a request that is only asked about. */
export const passingClass = (requests: Resources): RequestClass => ({
  id: PASSING_CLASS_ID,
  request: toVector(requests),
});

export interface ClassTable {
  readonly size: number;
  readonly retain: (requests: Resources) => RequestClass;
  readonly release: (requestClass: RequestClass) => void;
  /** The living class with this request, or undefined. */
  readonly find: (requests: Resources) => RequestClass | undefined;
}

export const createClassTable = (): ClassTable => {
  const byKey = new Map<string, { readonly requestClass: RequestClass; users: number }>();
  let nextId = PASSING_CLASS_ID + 1;
  const keyOf = (request: Vector): string => request.join(",");
  return {
    get size() {
      return byKey.size;
    },
    retain: (requests) => {
      const request = toVector(requests);
      const known = byKey.get(keyOf(request));
      if (known !== undefined) {
        known.users += 1;
        return known.requestClass;
      }
      const requestClass = { id: nextId, request };
      nextId += 1;
      byKey.set(keyOf(request), { requestClass, users: 1 });
      return requestClass;
    },
    release: (requestClass) => {
      const key = keyOf(requestClass.request);
      const known = byKey.get(key);
      if (known === undefined) return;
      known.users -= 1;
      if (known.users <= 0) byKey.delete(key);
    },
    find: (requests) => byKey.get(keyOf(toVector(requests)))?.requestClass,
  };
};
