/**
 * The secrets of a cluster, made at its first start and kept in files that only their owner may read: the admin token
 * of the API and the cluster key, which signs what agents may believe, and of which the key of secrets in the log is derived.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, sign, type KeyObject } from "node:crypto";
import { chmod, stat } from "node:fs/promises";
import type { Signer } from "../../ports/signer.ts";
import type { Vault } from "../../ports/vault.ts";
import { StartupProblem } from "../../ports/startup-problem.ts";
import { readIfThere, writeFileAtomic } from "./atomic.ts";
import type { DataDir } from "./data-dir.ts";
import { createVault } from "./vault.ts";

/** Reads a secret, or makes and keeps it. A file that others can read is closed, since its secret may still be good. */
export const secretFile = async (path: string, make: () => string): Promise<string> => {
  const present = await readIfThere(path);
  if (present !== undefined && present.trim() !== "") {
    if (((await stat(path)).mode & 0o077) !== 0) await chmod(path, 0o600);
    return present.trim();
  }
  const made = make();
  await writeFileAtomic(path, `${made}\n`, 0o600);
  return made;
};

/** 256 random bits behind a prefix that secret scanners can look for. */
export const adminToken = (dir: DataDir): Promise<string> =>
  secretFile(dir.adminToken, () => `berth_${randomBytes(32).toString("base64url")}`);

const toPem = (key: KeyObject, type: "pkcs8" | "spki"): string => key.export({ type, format: "pem" }).toString();

/** What the cluster's Ed25519 key is good for. Its public half lies beside it for whoever sets up hosts by hand. */
export const clusterKeys = async (dir: DataDir): Promise<{ readonly signer: Signer; readonly vault: Vault }> => {
  const pem = await secretFile(dir.clusterKey, () => toPem(generateKeyPairSync("ed25519").privateKey, "pkcs8").trim());
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (error) {
    throw new StartupProblem(`${dir.clusterKey} is not a private key; restore it from a backup`, { cause: error });
  }
  if (key.asymmetricKeyType !== "ed25519") throw new StartupProblem(`${dir.clusterKey} is not an Ed25519 key`);
  const publicKey = toPem(createPublicKey(key), "spki");
  if ((await readIfThere(dir.clusterPublicKey)) !== publicKey) {
    await writeFileAtomic(dir.clusterPublicKey, publicKey, 0o644);
  }
  const signer: Signer = {
    publicKey,
    sign: (value) => {
      const payload = JSON.stringify(value);
      return { payload, signature: sign(null, Buffer.from(payload), key).toString("base64") };
    },
  };
  return { signer, vault: createVault(key) };
};
