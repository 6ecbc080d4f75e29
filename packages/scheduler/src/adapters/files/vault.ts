/**
 * Secrets in the log: AES-256-GCM under a key that is derived (HKDF, RFC 5869) from the cluster's own, bound to the secret's
 * name. Every scheduler of a cluster has that key in a file; whoever copies a log or a snapshot alone has nothing.
 * Secrets for a host: X25519 with a key that is made for each box and forgotten, HKDF and ChaCha20-Poly1305, as HPKE does it
 * (RFC 9180, base mode).
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  randomBytes,
  type KeyObject,
} from "node:crypto";
import { sealedAbout, SEALING, type Sealed } from "@berth/schema";
import type { Vault } from "../../ports/vault.ts";

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

const seal: Vault["seal"] = ({ host, sealingKey }, key, value): Sealed => {
  const x = Buffer.from(sealingKey, "base64").toString("base64url");
  const theirs = createPublicKey({ key: { kty: "OKP", crv: "X25519", x }, format: "jwk" });
  const once = generateKeyPairSync("x25519");
  const from = Buffer.from(once.publicKey.export({ format: "jwk" }).x ?? "", "base64url");
  const shared = diffieHellman({ privateKey: once.privateKey, publicKey: theirs });
  const salt = Buffer.concat([from, Buffer.from(sealingKey, "base64")]);
  const boxKey = Buffer.from(hkdfSync("sha256", shared, salt, SEALING, 32));
  // The key is used once, so that the nonce need not differ.
  const cipher = createCipheriv("chacha20-poly1305", boxKey, Buffer.alloc(NONCE_BYTES), { authTagLength: TAG_BYTES });
  cipher.setAAD(Buffer.from(sealedAbout(host, key)), { plaintextLength: value.length });
  const box = Buffer.concat([cipher.update(value), cipher.final(), cipher.getAuthTag()]);
  return { from: from.toString("base64"), box: box.toString("base64") };
};

export const createVault = (clusterKey: KeyObject): Vault => {
  const seed = Buffer.from(clusterKey.export({ format: "jwk" }).d ?? "", "base64url");
  const derived = (use: string): Buffer => Buffer.from(hkdfSync("sha256", seed, "", `berth secrets ${use} 1`, 32));
  const logKey = derived("in the log");
  const digestKey = derived("digest");
  return {
    seal,
    encrypt: (key, value) => {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv("aes-256-gcm", logKey, nonce).setAAD(Buffer.from(key));
      const text = Buffer.concat([cipher.update(value), cipher.final()]);
      return {
        encrypted: Buffer.concat([nonce, text, cipher.getAuthTag()]).toString("base64"),
        digest: createHmac("sha256", digestKey).update(`${key}\0`).update(value).digest("hex"),
      };
    },
    decrypt: (key, encrypted) => {
      const bytes = Buffer.from(encrypted, "base64");
      const end = Math.max(NONCE_BYTES, bytes.length - TAG_BYTES);
      const decipher = createDecipheriv("aes-256-gcm", logKey, bytes.subarray(0, NONCE_BYTES), {
        authTagLength: TAG_BYTES,
      });
      decipher.setAAD(Buffer.from(key)).setAuthTag(bytes.subarray(end));
      return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, end)), decipher.final()]);
    },
  };
};
