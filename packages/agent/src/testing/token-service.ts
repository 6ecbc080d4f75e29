/**
 * What gives out bearer tokens for a real registry (Distribution's "Token Authentication Specification"): JSON web tokens
 * that it signs with a key of its own, whose certificate the registry is told to believe. Asks for a name and a password.
 */
import { execFileSync } from "node:child_process";
import { createPrivateKey, randomUUID, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";

export interface TokenService {
  /** The `auth` of a registry's configuration. */
  readonly auth: object;
  /** What tokens were asked for. */
  readonly scopes: readonly string[];
  readonly close: () => Promise<void>;
}

const SERVICE = "test registry";
const ISSUER = "test";

export const startTokenService = async (
  directory: string,
  user: { readonly name: string; readonly password: string },
): Promise<TokenService> => {
  const key = join(directory, "token-key.pem");
  const cert = join(directory, "token-cert.pem");
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
  execFileSync(
    "openssl",
    ["req", "-x509", ...curve, "-nodes", "-days", "2", "-subj", "/CN=tokens", "-keyout", key, "-out", cert],
    { stdio: "pipe" },
  );
  const privateKey = createPrivateKey(readFileSync(key));
  const x5c = [readFileSync(cert, "utf8").replaceAll(/-----[A-Z ]+-----|\s/g, "")];
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const tokenFor = (access: readonly object[]): string => {
    const now = Math.floor(Date.now() / 1000);
    const claims = { iss: ISSUER, sub: user.name, aud: SERVICE, nbf: now - 5, iat: now, exp: now + 60 };
    const text = `${part({ typ: "JWT", alg: "ES256", x5c })}.${part({ ...claims, jti: randomUUID(), access })}`;
    const signature = sign("sha256", Buffer.from(text), { key: privateKey, dsaEncoding: "ieee-p1363" });
    return `${text}.${signature.toString("base64url")}`;
  };
  const expected = `Basic ${Buffer.from(`${user.name}:${user.password}`).toString("base64")}`;
  const scopes: string[] = [];
  const server = createServer((request, response) => {
    const { searchParams } = new URL(request.url ?? "/", "http://tokens");
    const asked = searchParams.getAll("scope");
    scopes.push(...asked);
    const access = asked.map((scope) => {
      const [type, name, actions = ""] = scope.split(":");
      return { type, name, actions: actions.split(",") };
    });
    const known = request.headers.authorization === expected && searchParams.get("service") === SERVICE;
    response.writeHead(known ? 200 : 401, { "content-type": "application/json" });
    response.end(JSON.stringify(known ? { token: tokenFor(access) } : { errors: [] }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const realm = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`;
  return {
    auth: { token: { realm, service: SERVICE, issuer: ISSUER, rootcertbundle: cert } },
    scopes,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
};
