/**
 * Request classes: tasks that ask for the same are the same question to the packer. A class lives as long as a job
 * refers to it; its id is never used again, so that whatever is remembered under an id stays true.
 */
import type { Resources } from "@berth/schema";
import { toVector, type Vector } from "./feasibility.ts";

export interface RequestClass {
  readonly id: number;
  /** The same for equal requests. */
  readonly key: string;
  readonly request: Vector;
}

const keyOf = (request: Vector): string => request.join(",");

export interface ClassTable {
  readonly size: number;
  readonly retain: (requests: Resources) => RequestClass;
  readonly release: (requestClass: RequestClass) => void;
  /** The living class with this request, or one of its own for a request that is only asked about. */
  readonly passing: (requests: Resources) => RequestClass;
}

export const createClassTable = (): ClassTable => {
  const byKey = new Map<string, { readonly requestClass: RequestClass; users: number }>();
  let nextId = 1;
  return {
    get size() {
      return byKey.size;
    },
    retain: (requests) => {
      const request = toVector(requests);
      const key = keyOf(request);
      const known = byKey.get(key);
      if (known !== undefined) {
        known.users += 1;
        return known.requestClass;
      }
      const requestClass = { id: nextId, key, request };
      nextId += 1;
      byKey.set(key, { requestClass, users: 1 });
      return requestClass;
    },
    release: (requestClass) => {
      const { key } = requestClass;
      const known = byKey.get(key);
      if (known === undefined) return;
      known.users -= 1;
      if (known.users <= 0) byKey.delete(key);
    },
    passing: (requests) => {
      const request = toVector(requests);
      const key = keyOf(request);
      const known = byKey.get(key);
      if (known !== undefined) return known.requestClass;
      nextId += 1;
      return { id: nextId - 1, key, request };
    },
  };
};
