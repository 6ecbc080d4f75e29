/** Orders about images, followed to their end on every host. */
import { setTimeout as sleep } from "node:timers/promises";
import {
  decoder,
  ImageOperationSchema,
  ImageOrdersSchema,
  routePath,
  Routes,
  type ImageOperation,
  type ImageOrder,
  type ImageOrders,
  type Problem,
} from "@berth/schema";
import { Failure, failureOf } from "../failure.ts";
import type { Io } from "../io.ts";
import { createLayerView, type Followed } from "../output/layers.ts";
import type { Client } from "./client.ts";

const decodeOrders = decoder(ImageOrdersSchema);
const decodeOperation = decoder(ImageOperationSchema);
const LOOK_MS = 250;
const WAIT = "5s";
const WAIT_MS = 5_000;

export interface Ended {
  readonly host: string;
  /** Undefined when it never began. */
  readonly operation: ImageOperation | undefined;
  readonly reason: string | undefined;
}

export const placeOrder = async (client: Client, order: ImageOrder): Promise<ImageOrders> =>
  (await client.post(decodeOrders, Routes.imageOperations, order)).value;

/** Shows how far they are until all have ended; Ctrl-C gives them up. `until` ends it as well. */
export const followOrders = async (
  io: Io,
  client: Client,
  { id, items }: ImageOrders,
  quiet: boolean,
): Promise<Ended[]> => {
  const view = createLayerView(io.err, quiet);
  const followed = new Map<string, ImageOperation>();
  const lost = new Map<string, string>();
  for (const { host, operation } of items) if (operation !== null) followed.set(host, operation);
  const shown = (): Followed[] => [...followed].map(([host, operation]) => ({ host, operation }));

  const follow = async (host: string): Promise<void> => {
    for (let one = followed.get(host); one?.state === "running"; one = followed.get(host)) {
      try {
        const path = routePath(Routes.imageOperation, { host, operation: id });
        const query = { revision: one.revision, wait: WAIT };
        const { value } = await client.get(decodeOperation, path, {
          query,
          waitMs: WAIT_MS,
          bridge: true,
          signal: io.stop,
        });
        followed.set(host, value);
      } catch (error) {
        if (io.stop.aborted || !(error instanceof Failure)) throw error;
        lost.set(host, error.detail ?? error.message);
        followed.delete(host);
        return;
      }
      await view.update(shown());
      await sleep(LOOK_MS, undefined, { signal: io.stop });
    }
  };
  try {
    await Promise.all([...followed.keys()].map(follow));
  } catch (error) {
    if (io.stop.aborted) await cancelOrders(client, id, [...followed.keys()]);
    throw error;
  } finally {
    await view.clear();
  }
  return items.map(({ host, problem }) => {
    const operation = followed.get(host);
    return { host, operation, reason: operation?.error ?? lost.get(host) ?? problem?.detail ?? problem?.title };
  });
};

export const cancelOrders = async (client: Client, id: string, hosts: readonly string[]): Promise<void> => {
  await Promise.allSettled(
    hosts.map((host) =>
      client.post(decodeOperation, routePath(Routes.imageOperationCancel, { host, operation: id }), {}),
    ),
  );
};

/** All hosts refused for the same reason: that is the reason of the command. */
export const refuseAll = ({ items }: ImageOrders): void => {
  const [first] = items;
  const problem = first?.problem ?? null;
  if (problem !== null && items.every(({ operation }) => operation === null)) {
    throw failureOf(problem as Problem);
  }
};
