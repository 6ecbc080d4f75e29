/**
 * What the servers behind the given addresses are. Each is asked, since the one that we happen to be connected to says
 * nothing of the others; one that does not answer now is left out, and told about.
 */
import type { Logger } from "pino";
import { StartupProblem } from "../../ports/startup-problem.ts";
import { connectBus, type BusConnection } from "./connection.ts";
import { messageOf } from "./errors.ts";

export interface ProbedServer {
  readonly url: string;
  readonly version: string;
}

export const probeServers = async (
  bus: BusConnection,
  urls: readonly string[],
  how: { readonly seed: string; readonly ca: string | null; readonly log: Logger },
): Promise<ProbedServer[]> => {
  const others = urls.length === 1 ? [] : urls;
  const asked = await Promise.all(
    others.map(async (url): Promise<ProbedServer[]> => {
      try {
        const one = await connectBus([url], how.seed, how.log, how.ca);
        const version = one.serverVersion();
        await one.close();
        return [{ url, version }];
      } catch (error) {
        how.log.warn({ url, reason: messageOf(error) }, "bus_server_unreachable");
        return [];
      }
    }),
  );
  const servers = [...asked.flat(), { url: bus.nats.getServer(), version: bus.serverVersion() }];
  try {
    const manager = await bus.nats.jetstreamManager({ timeout: 5_000 });
    // Servers before 2.11 do not know levels, and do not say one.
    const { api } = (await manager.getAccountInfo()) as { readonly api?: { readonly level?: number } };
    how.log.info({ servers, apiLevel: api?.level ?? 0 }, "bus_servers");
  } catch (error) {
    throw new StartupProblem(`the server does not offer JetStream to Berth: ${messageOf(error)}`, { cause: error });
  }
  return servers;
};
