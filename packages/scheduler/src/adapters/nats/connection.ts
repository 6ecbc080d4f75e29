/**
 * The connection to the bus. It never gives up, notices a silent server within six seconds, and tells whoever asks
 * whether it is up: what is published while it is down is lost without an error.
 */
import { connect, nkeyAuthenticator, nkeys, type NatsConnection } from "nats";
import type { Logger } from "pino";
import type { Line } from "../../ports/bus.ts";
import { StartupProblem } from "../../ports/startup-problem.ts";

export interface BusConnection extends Line {
  readonly nats: NatsConnection;
  readonly serverVersion: () => string;
  readonly close: () => Promise<void>;
}

const FIRST_CONNECT_MS = 10_000;
const PING_MS = 2_000;

/** Makes the seed of a new user nkey. */
export const createUserSeed = (): string => new TextDecoder().decode(nkeys.createUser().getSeed());

export const publicKeyOfSeed = (seed: string, path: string): string => {
  try {
    return nkeys.fromSeed(new TextEncoder().encode(seed)).getPublicKey();
  } catch (error) {
    throw new StartupProblem(`${path} does not hold the seed of an nkey`, { cause: error });
  }
};

/** With `ca` (PEM) the server must prove itself, and a plain one is refused; without, it must be on loopback or trusted. */
export const connectBus = async (
  servers: readonly string[],
  seed: string,
  log: Logger,
  ca: string | null = null,
): Promise<BusConnection> => {
  let nats: NatsConnection;
  try {
    // A fresh object: the client changes the options that it is given.
    nats = await connect({
      servers: [...servers],
      authenticator: nkeyAuthenticator(new TextEncoder().encode(seed)),
      name: "berth-scheduler",
      pingInterval: PING_MS,
      maxPingOut: 2,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 100,
      reconnectJitter: 200,
      timeout: FIRST_CONNECT_MS,
      // Without it, two refusals in a row (a server that is just being reconfigured) would end the connection for good.
      ignoreAuthErrorAbort: true,
      // Only servers that were named: others' names are not known to be in their certificates.
      ignoreClusterUpdates: true,
      // A stack for every request, in case it fails, costs more than the request; who asked is in our own error.
      noAsyncTraces: true,
      ...(ca === null ? {} : { tls: { ca } }),
    });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new StartupProblem(`cannot connect to NATS at ${servers.join(", ")}: ${why}`, { cause: error });
  }

  let up = true;
  const listeners = new Set<(up: boolean) => void>();
  const change = (now: boolean): void => {
    if (now === up) return;
    up = now;
    log.info({ up }, "bus_line_changed");
    for (const listener of listeners) listener(up);
  };
  // Its iterator does not end with the connection; nobody waits for it.
  void (async () => {
    for await (const status of nats.status()) {
      if (status.type === "disconnect") change(false);
      else if (status.type === "reconnect") change(true);
      else if (status.type === "error") log.warn({ data: status.data }, "bus_error");
    }
  })();

  return {
    nats,
    serverVersion: () => nats.info?.version ?? "unknown",
    isUp: () => up,
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    roundTrip: async (timeoutMs) => {
      if (!up) throw new Error("the bus is down");
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`the bus did not answer within ${timeoutMs} ms`)), timeoutMs);
      });
      try {
        await Promise.race([nats.flush(), late]);
      } finally {
        clearTimeout(timer);
      }
    },
    close: async () => {
      listeners.clear();
      // Draining waits for the server; one that is gone must not hold up the shutdown.
      if (up)
        await Promise.race([nats.drain(), new Promise((resolve) => setTimeout(resolve, 2_000).unref())]).catch(
          () => {},
        );
      await nats.close();
    },
  };
};
