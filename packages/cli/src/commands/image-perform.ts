/** Orders about images from a command: placed, followed to their end on every host, and told, one line a host. */
import { formatBytes, type ImageOrder, type ImageOrders, type ImageResult } from "@berth/schema";
import type { Client } from "../client/client.ts";
import { followOrders, placeOrder, refuseAll, type Ended } from "../client/images.ts";
import { nameMade } from "../client/image-names.ts";
import { Exit } from "../failure.ts";
import { say, type Io } from "../io.ts";
import { orderOf, type HostsOptions } from "./image-hosts.ts";
import { clientOf } from "./verb.ts";

const resultText = (result: ImageResult): string => {
  switch (result.kind) {
    case "brought":
      return [result.images.join(", "), ...(result.notes ?? [])].join("\n  ");
    case "pushed":
      return `pushed as ${result.image}, ${result.manifest}`;
    case "filled":
      return `${result.entries} entries, ${formatBytes(result.bytes)}`;
    case "exported":
      return `exported ${formatBytes(result.sizeBytes)}`;
    case "removed": {
      const names = result.images.length === 0 ? "" : `${result.images.length} images, `;
      return `removed ${names}${result.layers} layers and ${result.blobs} blobs, ${formatBytes(result.freedBytes)}`;
    }
    case "checked": {
      const seals = result.unsealed === 0 ? "" : `; ${result.unsealed} layers of an older version have no seal`;
      const found = result.faults.length === 0 ? "all whole" : `${result.faults.length} damaged`;
      return `${result.images} images, ${result.layers} layers, ${result.blobs} blobs: ${found}${seals}`;
    }
  }
};

const faultsOf = ({ operation }: Ended): readonly string[] =>
  operation?.result?.kind === "checked"
    ? operation.result.faults.map(({ name, reason, what }) => `  ${what} ${name}: ${reason}`)
    : [];

/** One line a host; the exit status is that of the worst. */
export const tell = async (io: Io, ended: readonly Ended[], quiet: boolean): Promise<number> => {
  let status: number = Exit.ok;
  for (const one of ended) {
    const { host, operation, reason } = one;
    const succeeded = operation?.state === "succeeded" && operation.result !== null;
    const faults = faultsOf(one);
    if (!succeeded || faults.length > 0) status = Exit.failed;
    if (succeeded && operation.result !== null) {
      if (!quiet || faults.length > 0) await say(io, `${host}: ${resultText(operation.result)}`);
      for (const line of faults) await say(io, line);
    } else await say(io, `${host}: ${reason ?? "it failed"}`);
  }
  return status;
};

/** Orders that are placed: followed to their end and told; `quiet` when all is well. */
export const followAndTell = async (
  io: Io,
  client: Client,
  orders: ImageOrders,
  { quiet = false }: { readonly quiet?: boolean },
): Promise<number> => {
  const ended = await followOrders(io, client, orders, quiet);
  await nameMade(client, ended);
  return await tell(io, ended, quiet);
};

export const perform = async (io: Io, options: HostsOptions, request: ImageOrder["request"]): Promise<number> => {
  const client = clientOf(io, options);
  const orders = await placeOrder(client, orderOf(options, request));
  refuseAll(orders);
  return followAndTell(io, client, orders, options);
};
