/** A real nats-server in a directory of its own, and a connection with all rights. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { pino } from "pino";
import { startEmbeddedNats, type EmbeddedNats } from "../adapters/embedded-nats/server.ts";
import { connectBus, createUserSeed, publicKeyOfSeed, type BusConnection } from "../adapters/nats/connection.ts";
import { afterTests, tempDir } from "./temp.ts";

export const silent = pino({ level: process.env["BERTH_TEST_LOG"] ?? "silent" });

export interface TestNats {
  readonly directory: string;
  readonly seed: string;
  readonly server: EmbeddedNats;
  readonly bus: BusConnection;
}

export const startNats = async (
  more: { readonly directory?: string; readonly seed?: string; readonly maxStoreBytes?: number } = {},
): Promise<TestNats> => {
  const directory = more.directory ?? join(tempDir(), "nats");
  mkdirSync(directory, { recursive: true });
  const seed = more.seed ?? createUserSeed();
  const server = await startEmbeddedNats({
    directory,
    host: "127.0.0.1",
    port: 0,
    advertise: [],
    controlKey: publicKeyOfSeed(seed, "test"),
    maxStoreBytes: more.maxStoreBytes ?? 2 ** 28,
    env: process.env,
    log: silent,
    refused: () => {},
  });
  afterTests(server.close);
  const bus = await connectBus([server.localUrl], seed, silent);
  afterTests(bus.close);
  return { directory, seed, server, bus };
};
