/**
 * HTTPS in front of the same server: other machines reach the API here, this machine the plain one on loopback. Requests,
 * upgrades and broken ones are handed to the server as if it had accepted them, so every route, limit and hook is the same.
 */
import { createServer } from "node:https";
import type { ServerCertificate } from "../tls/authority.ts";
import { cannotListen, type AddressFlags } from "./cannot-listen.ts";
import type { Server } from "./server-type.ts";

export interface SecureListener {
  readonly port: number;
  /** New connections get this one. */
  readonly renew: (certificate: ServerCertificate) => void;
  readonly close: () => Promise<void>;
}

const HANDSHAKE_MS = 10_000;

export const listenSecurely = async (
  server: Server,
  where: { readonly host: string; readonly port: number },
  certificate: ServerCertificate,
  flags: AddressFlags,
): Promise<SecureListener> => {
  await server.ready();
  const plain = server.server;
  const front = createServer({
    cert: certificate.chain,
    key: certificate.key,
    minVersion: "TLSv1.2",
    handshakeTimeout: HANDSHAKE_MS,
    requestTimeout: plain.requestTimeout,
    keepAliveTimeout: plain.keepAliveTimeout,
  });
  for (const event of ["request", "upgrade", "clientError", "checkContinue"] as const) {
    if (plain.listenerCount(event) > 0) front.on(event, (...given: unknown[]) => void plain.emit(event, ...given));
  }
  await new Promise<void>((resolve, reject) => {
    front.once("error", (error) => reject(cannotListen(error, where, flags)));
    front.listen({ host: where.host, port: where.port }, resolve);
  });
  const address = front.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : where.port,
    renew: ({ chain, key }) => front.setSecureContext({ cert: chain, key }),
    close: () =>
      new Promise<void>((resolve) => {
        front.close(() => resolve());
        front.closeAllConnections();
      }),
  };
};
