/**
 * A host's own key: an nkey of kind user, made here and never sent anywhere. Only its public part leaves the host, when
 * it is admitted.
 */
import { nkeys } from "nats";
import { layoutOf } from "../files/layout.ts";
import { readOrMake } from "../files/own-key.ts";

export interface Identity {
  /** Holds the seed; mode 0600. */
  readonly seedFile: string;
  readonly publicKey: string;
}

const encoder = new TextEncoder();

const publicKeyOf = (seed: string, file: string): string => {
  let key: string;
  try {
    key = nkeys.fromSeed(encoder.encode(seed.trim())).getPublicKey();
  } catch (cause) {
    throw new Error(
      `${file} does not hold an nkey seed; restore it from a backup, or delete it and admit this host again`,
      { cause },
    );
  }
  if (!key.startsWith("U")) throw new Error(`${file} holds an nkey of another kind than user`);
  return key;
};

/** Reads the key of this data directory, or makes one. Two callers at the same time get the same. */
export const ensureIdentity = async (dataDir: string): Promise<Identity> => {
  const seedFile = layoutOf(dataDir).seed;
  const seed = await readOrMake(seedFile, () => new TextDecoder().decode(nkeys.createUser().getSeed()));
  return { seedFile, publicKey: publicKeyOf(seed, seedFile) };
};
