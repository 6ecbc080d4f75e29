/** Where a scheduler listens, and with which certificate: plain on loopback, TLS everywhere else. The certificate is renewed while it runs. */
import type { Logger } from "pino";
import type { DataDir } from "./adapters/files/data-dir.ts";
import { API_FLAGS, LISTEN_FLAGS, type AddressFlags } from "./adapters/http/cannot-listen.ts";
import { listen } from "./adapters/http/server.ts";
import { listenSecurely, type SecureListener } from "./adapters/http/secure.ts";
import type { JoinAddress } from "./adapters/http/routes/joining.ts";
import type { Server } from "./adapters/http/server-type.ts";
import { openAuthority, RENEW_MS, type Authority, type ServerCertificate } from "./adapters/tls/authority.ts";
import { addressesOf, bracket, certificateNames, isLoopback } from "./network-names.ts";
import type { Closers } from "./close-all.ts";

export interface Address {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
}

export interface Tls {
  readonly authority: Authority;
  readonly certificate: ServerCertificate;
  /** Calls back with every new certificate from now on. */
  readonly onRenewed: (take: (certificate: ServerCertificate) => void | Promise<void>) => void;
}

/** Long waits overflow a timer; and a clock that was wrong at the start is right at some time. */
const LOOK_MS = 6 * 3_600_000;

export const openTls = async (
  dir: DataDir,
  names: { readonly listening: readonly string[]; readonly urls: readonly string[] },
  logger: Logger,
  closers: Closers,
): Promise<Tls> => {
  const all = certificateNames(names.listening, names.urls);
  const authority = await openAuthority(dir.tls, Date.now());
  const certificate = await authority.serverCertificate(all, Date.now());
  let current = certificate;
  const takers: ((certificate: ServerCertificate) => void | Promise<void>)[] = [];
  const look = async (): Promise<void> => {
    if (current.notAfterMs - Date.now() > RENEW_MS) return;
    current = await authority.serverCertificate(all, Date.now());
    logger.info({ notAfterMs: current.notAfterMs }, "certificate_renewed");
    for (const take of takers) await take(current);
  };
  const timer = setInterval(() => {
    look().catch((error: unknown) => logger.error({ err: error }, "certificate_not_renewed"));
  }, LOOK_MS).unref();
  closers.push(() => clearInterval(timer));
  return { authority, certificate, onRenewed: (take) => void takers.push(take) };
};

export interface Listening {
  /** Where programs on this machine reach the API. */
  readonly url: string;
  /** Who signs its certificate, PEM; undefined: it is plain. */
  readonly ca: string | undefined;
  readonly join: JoinAddress | undefined;
}

/** Opens the API's own address (plain only on loopback), and the one for other machines. */
export const openListeners = async (
  server: Server,
  given: { readonly api: Address; readonly listen: Address | undefined; readonly tls: Tls | undefined },
  closers: Closers,
): Promise<Listening> => {
  const { api, tls } = given;
  const secure = async (
    where: Address,
    flags: AddressFlags,
  ): Promise<SecureListener & { readonly urls: readonly string[] }> => {
    if (tls === undefined) throw new Error("listening off loopback needs a certificate");
    const front = await listenSecurely(server, where, tls.certificate, flags);
    closers.push(front.close);
    tls.onRenewed(front.renew);
    return { ...front, urls: addressesOf(where.host).map((host) => `https://${bracket(host)}:${front.port}`) };
  };
  const isPlain = isLoopback(api.host);
  const main = isPlain ? { urls: [await listen(server, api.host, api.port)] } : await secure(api, API_FLAGS);
  const others = given.listen === undefined ? (isPlain ? undefined : main) : await secure(given.listen, LISTEN_FLAGS);
  return {
    url: main.urls[0] ?? "",
    ca: isPlain ? undefined : tls?.authority.certificate,
    join:
      others === undefined || tls === undefined
        ? undefined
        : { urls: others.urls, fingerprint: tls.authority.fingerprint },
  };
};
