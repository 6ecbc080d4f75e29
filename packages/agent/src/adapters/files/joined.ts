/**
 * What `berth join` has learned, for every later start of the agent: one file, whole at every instant, readable by its
 * owner only. It refers to the host's key and holds what the scheduler said.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Type, type Static, decoder, HostIdSchema } from "@berth/schema";
import { readSealed, writeSealed } from "./atomic-file.ts";

const JoinedFileSchema = Type.Object(
  {
    version: Type.Literal(1),
    cluster: Type.String(),
    host: HostIdSchema,
    natsUrls: Type.Array(Type.String(), { minItems: 1 }),
    natsCa: Type.Union([Type.String(), Type.Null()]),
    clusterKey: Type.String(),
    /** SHA-256 of the authority that the join line named, in hex. */
    fingerprint: Type.String(),
  },
  { additionalProperties: false },
);
export type JoinedFile = Omit<Static<typeof JoinedFileSchema>, "version">;

const decode = decoder(JoinedFileSchema);
const pathOf = (dataDir: string): string => join(dataDir, "joined.json");

export const writeJoined = async (dataDir: string, joined: JoinedFile): Promise<void> => {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  await writeSealed(pathOf(dataDir), { version: 1, ...joined }, { durable: true });
};

/** Undefined: this directory has not joined. Throws a sentence when the file is damaged. */
export const readJoined = async (dataDir: string): Promise<JoinedFile | undefined> => {
  const path = pathOf(dataDir);
  const found = await readSealed(path);
  if (found.kind === "absent") return undefined;
  const decoded = found.kind === "value" ? decode(found.value) : undefined;
  if (decoded?.ok === true) {
    const { version: _version, ...joined } = decoded.value;
    return joined;
  }
  throw new Error(`${path} is damaged; remove it and join again with a new line of: berth token create`);
};
