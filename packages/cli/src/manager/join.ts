/**
 * A machine becomes a host, in steps that may each be repeated after a kill:
 *
 *   key made here ─► authority pinned ─► public half and token sent ─► answer written whole ─► agent runs
 *
 * The key stays when anything fails, and the cluster answers the same key again, so that the same line can be used again
 * by this machine and by no other.
 */
import { mkdirSync } from "node:fs";
import { decoder, JoinedSchema, Routes, type HostId, type Joined, type JoinLine } from "@berth/schema";
import { pinnedAuthority } from "../client/authority.ts";
import { createClient } from "../client/client.ts";
import { Exit, Failure } from "../failure.ts";
import { hostDir, knownHosts } from "./cluster.ts";

const decodeJoined = decoder(JoinedSchema);

export interface Membership {
  readonly host: string;
  readonly cluster: string;
  /** The agent's data directory. */
  readonly directory: string;
}

/** What this data directory has joined already. */
export const findMembership = async (
  dataDir: string,
): Promise<(Membership & { readonly fingerprint: string }) | undefined> => {
  const { readJoined } = await import("@berth/agent");
  for (const id of knownHosts(dataDir)) {
    const directory = hostDir(dataDir, id);
    const joined = await readJoined(directory).catch((error: unknown) => {
      throw new Failure("This machine's membership cannot be read", {
        exit: Exit.data,
        detail: error instanceof Error ? error.message : String(error),
        cause: error,
      });
    });
    if (joined !== undefined)
      return { host: joined.host, cluster: joined.cluster, directory, fingerprint: joined.fingerprint };
  }
  return undefined;
};

/** The first address that answers decides; a wrong authority ends it at once. */
const askFirst = async (line: JoinLine, ask: (url: URL, ca: string) => Promise<Joined>): Promise<Joined> => {
  let last: unknown;
  for (const text of line.urls) {
    const url = new URL(text);
    try {
      const ca = await pinnedAuthority(url, line.fingerprint);
      return await ask(url, ca);
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== "cluster.unreachable") throw error;
      last = error;
    }
  }
  throw last;
};

export const joinCluster = async (
  line: JoinLine,
  host: HostId,
  dataDir: string,
  signal: AbortSignal,
): Promise<Membership> => {
  const { ensureIdentity, writeJoined } = await import("@berth/agent");
  const directory = hostDir(dataDir, host);
  mkdirSync(directory, { recursive: true, mode: 0o711 });
  const { publicKey } = await ensureIdentity(directory);
  const joined = await askFirst(line, async (api, ca) => {
    const client = createClient({ api, token: "", ca });
    // Sent again after a lost answer it changes nothing: the key is the same.
    const answer = await client.post(decodeJoined, Routes.join, { token: line.token, host, publicKey }, { signal });
    return answer.value;
  });
  const { cluster, natsUrls, natsCa, clusterKey } = joined;
  await writeJoined(directory, { cluster, host, natsUrls, natsCa, clusterKey, fingerprint: line.fingerprint });
  return { host, cluster, directory };
};
