/**
 * The cluster's own certificate authority, and the certificate of this scheduler's listeners. Made at the first start,
 * kept in files that only their owner may read. The authority signs nothing but this: whoever trusts it trusts this
 * scheduler, and a join line carries its fingerprint. ECDSA P-256, which browsers, Go and OpenSSL all take.
 */
// The library's dependency injection asks for it before anything else.
import "reflect-metadata";
import {
  createHash,
  randomBytes,
  webcrypto,
  createPrivateKey,
  X509Certificate as NodeCertificate,
  type KeyObject,
} from "node:crypto";
import { isIP } from "node:net";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  AuthorityKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";
import { StartupProblem } from "../../ports/startup-problem.ts";
import { readIfThere, writeFileAtomic } from "../files/atomic.ts";
import type { TlsFiles } from "../files/data-dir.ts";
import { secretFile } from "../files/secrets.ts";

export interface ServerCertificate {
  /** The certificate and the authority's, PEM. */
  readonly chain: string;
  readonly key: string;
  readonly notAfterMs: number;
}

export interface Authority {
  /** PEM. */
  readonly certificate: string;
  /** SHA-256 of its DER, in hex. */
  readonly fingerprint: string;
  /** The kept certificate while it is good for these names and long enough; else a new one, which is kept. */
  readonly serverCertificate: (names: readonly string[], nowMs: number) => Promise<ServerCertificate>;
}

const DAY_MS = 24 * 3_600_000;
const CA_DAYS = 3_650;
const SERVER_DAYS = 397;
/** A certificate that ends sooner is renewed. */
export const RENEW_MS = 30 * DAY_MS;
/** Clocks of machines that join may be behind. */
const BACKDATED_MS = DAY_MS;

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256" } as const;
const SIGNING = { name: "ECDSA", hash: "SHA-256" } as const;

const { subtle } = webcrypto;

const toPem = (der: ArrayBuffer): string =>
  `-----BEGIN PRIVATE KEY-----\n${(
    Buffer.from(der)
      .toString("base64")
      .match(/.{1,64}/g) ?? []
  ).join("\n")}\n-----END PRIVATE KEY-----`;

const newKeyPem = async (): Promise<string> => {
  const pair = await subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  return toPem(await subtle.exportKey("pkcs8", pair.privateKey));
};

const keysOf = async (pem: string, path: string): Promise<webcrypto.CryptoKeyPair> => {
  try {
    const der = Buffer.from(pem.replace(/-----[A-Z ]+-----|\s/g, ""), "base64");
    const privateKey = await subtle.importKey("pkcs8", der, ALGORITHM, true, ["sign"]);
    const { d: _d, key_ops: _operations, ...half } = await subtle.exportKey("jwk", privateKey);
    const publicKey = await subtle.importKey("jwk", half, ALGORITHM, true, ["verify"]);
    return { privateKey, publicKey };
  } catch (error) {
    throw new StartupProblem(
      `${path} is not a private key; restore it from a backup, or remove the directory it is in`,
      {
        cause: error,
      },
    );
  }
};

const keyPair = async (path: string): Promise<{ readonly pem: string; readonly keys: webcrypto.CryptoKeyPair }> => {
  const made = await newKeyPem();
  const pem = await secretFile(path, () => made);
  return { pem, keys: await keysOf(pem, path) };
};

const nodeKey = (pem: string): KeyObject => createPrivateKey(pem);

const serial = (): string => {
  const bytes = randomBytes(16);
  // Positive, and not shorter than it says.
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString("hex");
};

const validity = (nowMs: number, days: number) => ({
  notBefore: new Date(nowMs - BACKDATED_MS),
  notAfter: new Date(nowMs + days * DAY_MS),
});

const makeCa = async (keys: webcrypto.CryptoKeyPair, nowMs: number): Promise<string> => {
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    // Two clusters in one browser must not be taken for one.
    name: `CN=Berth cluster ${randomBytes(4).toString("hex")}`,
    ...validity(nowMs, CA_DAYS),
    signingAlgorithm: SIGNING,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return `${certificate.toString("pem")}\n`;
};

const makeServer = async (
  ca: X509Certificate,
  caKeys: webcrypto.CryptoKeyPair,
  publicKey: webcrypto.CryptoKey,
  names: readonly string[],
  nowMs: number,
): Promise<string> => {
  const { notBefore, notAfter } = validity(nowMs, SERVER_DAYS);
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: "CN=Berth scheduler",
    issuer: ca.subject,
    notBefore,
    notAfter: notAfter < ca.notAfter ? notAfter : ca.notAfter,
    signingAlgorithm: SIGNING,
    publicKey,
    signingKey: caKeys.privateKey,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension(
        names.map((value) => ({ type: isIP(value) === 0 ? ("dns" as const) : ("ip" as const), value })),
      ),
      await AuthorityKeyIdentifierExtension.create(caKeys.publicKey),
    ],
  });
  return `${certificate.toString("pem")}\n`;
};

const covers = (certificate: NodeCertificate, names: readonly string[]): boolean =>
  names.every((name) =>
    isIP(name) === 0 ? certificate.checkHost(name) !== undefined : certificate.checkIP(name) !== undefined,
  );

/** True when what is kept may go on: ours, for this key, for these names, and not about to end. */
const isGood = (chain: string, key: string, ca: NodeCertificate, names: readonly string[], nowMs: number): boolean => {
  try {
    const certificate = new NodeCertificate(chain);
    return (
      certificate.verify(ca.publicKey) &&
      certificate.checkPrivateKey(nodeKey(key)) &&
      Date.parse(certificate.validTo) - nowMs > RENEW_MS &&
      Date.parse(certificate.validFrom) <= nowMs &&
      covers(certificate, names)
    );
  } catch {
    return false;
  }
};

export const openAuthority = async (files: TlsFiles, nowMs: number): Promise<Authority> => {
  const ca = await keyPair(files.caKey);
  let certificate = await readIfThere(files.caCertificate);
  if (certificate === undefined || certificate.trim() === "") {
    certificate = await makeCa(ca.keys, nowMs);
    await writeFileAtomic(files.caCertificate, certificate, 0o600);
  }
  let node: NodeCertificate;
  try {
    node = new NodeCertificate(certificate);
  } catch (error) {
    throw new StartupProblem(`${files.caCertificate} is not a certificate; restore it from a backup`, { cause: error });
  }
  if (!node.checkPrivateKey(nodeKey(ca.pem))) {
    throw new StartupProblem(`${files.caCertificate} does not belong to ${files.caKey}; restore both from one backup`);
  }
  if (Date.parse(node.validTo) <= nowMs) {
    throw new StartupProblem(
      `the authority in ${files.caCertificate} ended on ${node.validTo}; remove both files of it and let hosts join again`,
    );
  }
  const text = certificate;
  return {
    certificate: text,
    fingerprint: createHash("sha256").update(node.raw).digest("hex"),
    serverCertificate: async (names, atMs) => {
      const server = await keyPair(files.serverKey);
      let chain = await readIfThere(files.serverCertificate);
      if (chain === undefined || !isGood(chain, server.pem, node, names, atMs)) {
        const made = await makeServer(new X509Certificate(text), ca.keys, server.keys.publicKey, names, atMs);
        chain = `${made}${text}`;
        await writeFileAtomic(files.serverCertificate, chain, 0o600);
      }
      return { chain, key: server.pem, notAfterMs: Date.parse(new NodeCertificate(chain).validTo) };
    },
  };
};
