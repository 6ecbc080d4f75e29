/**
 * A host's own key: an nkey of kind user, made here and never sent anywhere. Only its public part leaves the host, when
 * it is admitted.
 */
import { randomUUID } from "node:crypto";
import { link, mkdir, open, readFile, rm } from "node:fs/promises";
import { nkeys } from "nats";
import { hasCode, isMissing, syncDirectory } from "../files/atomic-file.ts";
import { layoutOf } from "../files/layout.ts";

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
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const existing = await readSeed(seedFile);
  if (existing !== undefined) return { seedFile, publicKey: publicKeyOf(existing, seedFile) };
  const temporary = `${seedFile}.${randomUUID()}.tmp`;
  const file = await open(temporary, "wx", 0o600);
  try {
    await file.writeFile(`${new TextDecoder().decode(nkeys.createUser().getSeed())}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  try {
    // A link, not a rename: it never replaces the key that somebody else has made meanwhile.
    await link(temporary, seedFile);
  } catch (error) {
    if (!hasCode(error, "EEXIST")) throw error;
  } finally {
    await rm(temporary, { force: true });
  }
  await syncDirectory(dataDir);
  return { seedFile, publicKey: publicKeyOf(await readFile(seedFile, "utf8"), seedFile) };
};

const readSeed = async (path: string): Promise<string | undefined> => {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
};
