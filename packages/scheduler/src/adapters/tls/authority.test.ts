/** The authority and its certificate over restarts, changes of addresses, and years; judged by Node's own TLS and OpenSSL's rules. */
import { X509Certificate } from "node:crypto";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect, createServer, type TLSSocket } from "node:tls";
import { expect, test } from "vitest";
import { tempDir } from "../../testing/temp.ts";
import type { TlsFiles } from "../files/data-dir.ts";
import { openAuthority } from "./authority.ts";

const DAY = 24 * 3_600_000;

const files = (): TlsFiles => {
  const dir = tempDir();
  return {
    caKey: join(dir, "ca.key"),
    caCertificate: join(dir, "ca.crt"),
    serverKey: join(dir, "server.key"),
    serverCertificate: join(dir, "server.crt"),
  };
};

test("a client that trusts the authority, and it alone, is connected; everything is readable by its owner only", async () => {
  const at = files();
  const authority = await openAuthority(at, Date.now());
  const made = await authority.serverCertificate(["127.0.0.1", "localhost"], Date.now());
  const other = await openAuthority(files(), Date.now());
  for (const path of Object.values(at)) expect(statSync(path).mode & 0o777, path).toBe(0o600);
  const server = createServer({ cert: made.chain, key: made.key }, (socket) => socket.end("hello"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const dial = (ca: string): Promise<string> =>
    new Promise((resolve) => {
      const socket: TLSSocket = connect({ host: "127.0.0.1", port, ca }, () => resolve("connected"));
      socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      socket.on("secureConnect", () => socket.destroy());
    });
  expect(await dial(authority.certificate)).toBe("connected");
  expect(await dial(other.certificate)).not.toBe("connected");
  server.close();
});

test("what is kept is used again; another address or the nearing end makes a new certificate, not a new authority", async () => {
  const at = files();
  const now = Date.now();
  const first = await openAuthority(at, now);
  const one = await first.serverCertificate(["10.0.0.1"], now);
  const again = await openAuthority(at, now + DAY);
  expect(again.fingerprint).toBe(first.fingerprint);
  expect(await again.serverCertificate(["10.0.0.1"], now + DAY)).toEqual(one);

  const moved = await again.serverCertificate(["10.0.0.1", "10.0.0.2"], now);
  expect(moved.chain).not.toBe(one.chain);
  expect(new X509Certificate(moved.chain).checkIP("10.0.0.2")).toBe("10.0.0.2");

  const late = await again.serverCertificate(["10.0.0.1", "10.0.0.2"], now + 380 * DAY);
  expect(late.notAfterMs).toBeGreaterThan(now + 700 * DAY);
  expect(new X509Certificate(late.chain).verify(new X509Certificate(first.certificate).publicKey)).toBe(true);
});

test("files that do not belong together, are damaged or too old are refused with what to do", async () => {
  const at = files();
  const now = Date.now();
  await openAuthority(at, now);
  await expect(openAuthority(at, now + 4_000 * DAY)).rejects.toThrow(/ended on/);
  const other = files();
  await openAuthority(other, now);
  writeFileSync(at.caCertificate, readFileSync(other.caCertificate));
  await expect(openAuthority(at, now)).rejects.toThrow(/does not belong/);
  writeFileSync(at.caCertificate, "rubbish");
  await expect(openAuthority(at, now)).rejects.toThrow(/not a certificate/);
  writeFileSync(at.caKey, "rubbish");
  await expect(openAuthority(at, now)).rejects.toThrow(/not a private key/);
});
