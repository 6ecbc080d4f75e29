/**
 * The authority behind an address, believed only by its fingerprint. The first connection trusts nobody and tells nothing:
 * it takes the certificates that the other end shows and looks for the one that the join line names. Everything that
 * matters goes over a second connection, which trusts exactly that authority.
 */
import { createHash } from "node:crypto";
import { isIP } from "node:net";
import { connect, type DetailedPeerCertificate } from "node:tls";
import { Exit, Failure } from "../failure.ts";
import { unreachable } from "./http.ts";

const TIMEOUT_MS = 10_000;
/** Ours has two; nobody needs more than a few. */
const LONGEST_CHAIN = 8;

const chainOf = (leaf: DetailedPeerCertificate): Buffer[] => {
  const chain: Buffer[] = [];
  let at: DetailedPeerCertificate | undefined = leaf;
  while (at?.raw !== undefined && chain.length < LONGEST_CHAIN) {
    chain.push(at.raw);
    // The last one names itself.
    at = at.issuerCertificate === at ? undefined : at.issuerCertificate;
  }
  return chain;
};

const shownCertificates = (url: URL): Promise<Buffer[]> =>
  new Promise((resolve, reject) => {
    const host = url.hostname.replace(/^\[|\]$/g, "");
    const socket = connect({
      host,
      port: url.port === "" ? 443 : Number(url.port),
      rejectUnauthorized: false,
      ...(isIP(host) === 0 ? { servername: host } : {}),
    });
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error(`no answer within ${TIMEOUT_MS / 1_000}s`)));
    socket.once("error", (error) => reject(unreachable({ api: url }, error)));
    socket.once("secureConnect", () => {
      const chain = chainOf(socket.getPeerCertificate(true));
      socket.destroy();
      resolve(chain);
    });
  });

const hex = (der: Buffer): string => createHash("sha256").update(der).digest("hex");

const toPem = (der: Buffer): string =>
  `-----BEGIN CERTIFICATE-----\n${(der.toString("base64").match(/.{1,64}/g) ?? []).join("\n")}\n-----END CERTIFICATE-----\n`;

/** The authority's certificate (PEM). Throws when there is nobody, or somebody else. */
export const pinnedAuthority = async (url: URL, fingerprint: string): Promise<string> => {
  const chain = await shownCertificates(url);
  const found = chain.find((der) => hex(der) === fingerprint);
  if (found !== undefined) return toPem(found);
  const shown = chain.at(-1);
  throw new Failure("This is not the cluster that the line is for", {
    exit: Exit.forbidden,
    code: "join.refused",
    detail: `${url.origin} shows a certificate of ${shown === undefined ? "nobody" : hex(shown)}, the line names ${fingerprint}: somebody may be between this machine and the cluster, or the cluster was made anew; nothing was sent`,
    next: ["a new line of: berth token create"],
  });
};
