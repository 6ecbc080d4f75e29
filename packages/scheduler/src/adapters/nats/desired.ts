/**
 * Desired documents in a key-value bucket. History 1 (more costs 25 times the server's time per put); every put is
 * republished to its host, so that no agent needs a consumer.
 */
import type { KV } from "nats";
import { Buckets, decodeJson, decoder, SignedSchema } from "@berth/schema";
import { DocumentTooLarge, type DesiredStore } from "../../ports/bus.ts";
import { StartupProblem } from "../../ports/startup-problem.ts";
import type { BusConnection } from "./connection.ts";
import { messageOf } from "./errors.ts";
import { bytesOf, textOf } from "./json.ts";
import { whileUp } from "./while-up.ts";

/** A document travels with headers, and inside the answer to a hello. */
const HEADROOM_BYTES = 4_096;

const decodeSigned = decoder(SignedSchema);
const { name, republish } = Buckets.desired;

export const openDesiredStore = async (bus: BusConnection, replicas: number): Promise<DesiredStore> => {
  let bucket: KV;
  try {
    const client = bus.nats.jetstream({ timeout: 5_000 });
    bucket = await client.views.kv(name, {
      history: 1,
      replicas,
      republish: { src: republish.source, dest: republish.destination },
    });
  } catch (error) {
    throw new StartupProblem(`the bucket of desired documents cannot be opened: ${messageOf(error)}`, { cause: error });
  }
  const manager = await bus.nats.jetstreamManager({ timeout: 5_000 });
  const { config } = await manager.streams.info(`KV_${name}`);
  if (config.republish?.dest !== republish.destination || config.max_msgs_per_subject !== 1) {
    throw new StartupProblem(`bucket ${name} on the server is configured in another way (republish, history)`);
  }
  return {
    put: async (host, document) => {
      const bytes = bytesOf(JSON.stringify(document));
      const most = (bus.nats.info?.max_payload ?? 2 ** 20) - HEADROOM_BYTES;
      if (bytes.length > most) throw new DocumentTooLarge(`it has ${bytes.length} bytes, the bus carries ${most}`);
      if (!bus.isUp()) throw new Error("the bus is down");
      await whileUp(bus, bucket.put(host, bytes));
    },
    get: async (host) => {
      const entry = await bucket.get(host);
      const text = entry === null || entry.operation !== "PUT" ? undefined : textOf(entry.value);
      const decoded = text === undefined ? undefined : decodeJson(decodeSigned, text, `the document of ${host}`);
      return decoded?.ok === true ? decoded.value : undefined;
    },
    line: bus,
    redial: () => void bus.nats.reconnect().catch(() => {}),
  };
};
