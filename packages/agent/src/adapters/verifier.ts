/** Ed25519 (RFC 8032) by node:crypto, with the cluster's public key as it was given at enrolment (SPKI, PEM). */
import { createPublicKey, verify } from "node:crypto";
import type { Verifier } from "../ports/host.ts";

/** Throws a sentence when the text is not such a key. */
export const createVerifier = (pem: string): Verifier => {
  let key: ReturnType<typeof createPublicKey>;
  try {
    key = createPublicKey(pem);
  } catch (cause) {
    throw new Error("the cluster key is not a public key in PEM", { cause });
  }
  if (key.asymmetricKeyType !== "ed25519") throw new Error(`the cluster key is ${key.asymmetricKeyType}, not ed25519`);
  return {
    verify: ({ payload, signature }) =>
      verify(null, Buffer.from(payload, "utf8"), key, Buffer.from(signature, "base64")) ? payload : undefined,
  };
};
