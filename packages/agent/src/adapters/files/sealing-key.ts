/**
 * The key that secrets are sealed to, X25519: made here beside the host's nkey, and it never leaves the host. The other half
 * of what is done here is the scheduler's vault.
 */
import {
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
} from "node:crypto";
import { sealedAbout, SEALING } from "@berth/schema";
import type { SealedSecrets } from "../../ports/sealed.ts";
import { layoutOf } from "./layout.ts";
import { readOrMake } from "./own-key.ts";

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

const rawPublic = (key: KeyObject): Buffer => Buffer.from(key.export({ format: "jwk" }).x ?? "", "base64url");

export const openSealingKey = async (dataDir: string, host: string): Promise<SealedSecrets> => {
  const file = layoutOf(dataDir).sealingKey;
  const pem = await readOrMake(file, () =>
    generateKeyPairSync("x25519").privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  );
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
    if (key.asymmetricKeyType !== "x25519") throw new Error(`it is of kind ${key.asymmetricKeyType}`);
  } catch (cause) {
    throw new Error(`${file} does not hold an X25519 key; delete it, and the next start makes another`, { cause });
  }
  const mine = rawPublic(createPublicKey(key));
  return {
    sealingKey: mine.toString("base64"),
    open: (name, { from, box }) => {
      try {
        const theirs = Buffer.from(from, "base64");
        const x = theirs.toString("base64url");
        const publicKey = createPublicKey({ key: { kty: "OKP", crv: "X25519", x }, format: "jwk" });
        const shared = diffieHellman({ privateKey: key, publicKey });
        const boxKey = Buffer.from(hkdfSync("sha256", shared, Buffer.concat([theirs, mine]), SEALING, 32));
        const bytes = Buffer.from(box, "base64");
        const end = Math.max(0, bytes.length - TAG_BYTES);
        const nonce = Buffer.alloc(NONCE_BYTES);
        const decipher = createDecipheriv("chacha20-poly1305", boxKey, nonce, { authTagLength: TAG_BYTES });
        decipher.setAAD(Buffer.from(sealedAbout(host, name)), { plaintextLength: end });
        decipher.setAuthTag(bytes.subarray(end));
        return Buffer.concat([decipher.update(bytes.subarray(0, end)), decipher.final()]);
      } catch {
        return undefined;
      }
    },
  };
};
