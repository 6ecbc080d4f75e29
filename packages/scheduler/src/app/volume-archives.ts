/**
 * Volumes as archives: what is in one, as it comes from its host, and the pieces that a new one is made of. Passes them
 * through and keeps none of them. Whoever brings pieces may send each again: its host takes none twice.
 */
import {
  decoder,
  err,
  ok,
  problem,
  VolumeFillSchema,
  volumeImportId,
  type Problem,
  type ProjectName,
  type Result,
  type VolumeTaken,
} from "@berth/schema";
import {
  mustExist,
  refuseAnother,
  volumeIdOf,
  volumeKey,
  type ClusterState,
  type VolumeRecord,
} from "../core/index.ts";
import type { AgentImages } from "./agent-images.ts";
import type { AskAgent } from "./agent-rpc.ts";

export interface VolumeArchives {
  /** What can fail before the first byte is a problem; later, the stream breaks off. */
  readonly exported: (
    project: ProjectName,
    name: string,
    signal: AbortSignal,
  ) => Promise<Result<AsyncGenerator<Buffer>, Problem>>;
  /** One piece for the volume of this id, which is `filling`. After the last one it waits a while for what comes of it. */
  readonly take: (
    project: ProjectName,
    name: string,
    id: string,
    piece: { readonly offset: number; readonly data: Buffer; readonly last: boolean },
  ) => Promise<Result<VolumeTaken, Problem>>;
}

/** For how long a last piece is answered with `filling` at the latest. */
const SETTLE_TRIES = 40;
const LOOK_MS = 250;

const decodeFill = decoder(VolumeFillSchema);

export const createVolumeArchives = ({
  askAgent,
  follow,
  images,
  pause,
  state,
}: {
  readonly state: ClusterState;
  readonly images: Pick<AgentImages, "begin" | "exported" | "write">;
  readonly askAgent: AskAgent;
  readonly pause: (ms: number) => Promise<void>;
  /** Writes what has come of a volume that is being filled, if this instance leads. */
  readonly follow: (volume: VolumeRecord) => Promise<unknown>;
}): VolumeArchives => {
  const find = (project: ProjectName, name: string): Result<VolumeRecord, Problem> => {
    const volume = state.volumes.get(volumeKey(project, name));
    return volume === undefined
      ? err(problem("volume.not_found", `there is no volume ${project}/${name}`))
      : ok(volume);
  };

  const failed = ({ name, project }: VolumeRecord, detail: string): Result<never, Problem> =>
    err(problem("volume.failed", `${project}/${name}: ${detail}`));

  /** Its host's word is enough to say that it failed; that it is there counts once it is in the log. */
  const settled = async (volume: VolumeRecord, offset: number): Promise<Result<VolumeTaken, Problem>> => {
    const id = volumeIdOf(volume);
    for (let attempt = 0; attempt < SETTLE_TRIES; attempt += 1) {
      const answer = await askAgent(volume.hostId, { kind: "volume_filling", id });
      const fill = answer.ok ? decodeFill(answer.value) : undefined;
      if (fill?.ok === true && fill.value.state !== "copying") await follow(volume);
      if (fill?.ok === true && fill.value.state === "failed") return failed(volume, fill.value.error ?? "it failed");
      const now = state.volumes.get(volume.key);
      if (now?.generation !== volume.generation) return failed(volume, "it was removed meanwhile");
      if (now.state !== "filling") return ok({ offset, state: now.state });
      await pause(LOOK_MS);
    }
    return ok({ offset, state: "filling" });
  };

  return {
    exported: async (project, name, signal) => {
      const volume = find(project, name);
      if (!volume.ok) return volume;
      const { hostId, state: reached } = volume.value;
      if (reached === "filling" || reached === "removing") {
        const what = reached === "filling" ? "is not complete yet" : "is being removed";
        return err(problem("volume.in_use", `${project}/${name} ${what}`));
      }
      if (!state.hosts.has(hostId)) {
        return err(problem("volume.not_found", `${project}/${name} was on ${hostId}, which is no longer a host`));
      }
      const request = { kind: "volume_export", volume: volumeIdOf(volume.value) } as const;
      return images.exported(hostId, mustExist(volume.value) ? { ...request, mustExist: true } : request, signal);
    },

    take: async (project, name, id, piece) => {
      const found = find(project, name);
      if (!found.ok) return found;
      const volume = found.value;
      const another = refuseAnother(volume, id);
      if (another !== undefined) return err(another);
      const { from, hostId, sizeBytes, state: reached } = volume;
      const end = piece.offset + piece.data.length;
      const operation = volumeImportId(id);
      if (reached === "ready" && piece.last && from === null) {
        // Whether it ended there, its host knows, unless it was restarted since.
        const { items } = await images.write(operation, [hostId], piece);
        const refused = items[0]?.problem ?? null;
        if (refused?.code === "image.failed") return failed(volume, refused.detail ?? refused.title);
        return ok({ offset: end, state: "ready" });
      }
      if (reached !== "filling" || from !== null) {
        return err(problem("volume.exists", `${project}/${name} is not being imported: it is ${reached}`));
      }
      if (piece.offset === 0) {
        const request = { kind: "volume_import", volume: id, mostBytes: sizeBytes === 0 ? null : sizeBytes } as const;
        const begun = await images.begin(hostId, operation, request);
        if (!begun.ok) return begun;
      }
      const { items } = await images.write(operation, [hostId], piece);
      const refused = items[0]?.problem ?? null;
      if (refused !== null && refused.code === "image.failed") {
        await follow(volume);
        return failed(volume, refused.detail ?? refused.title);
      }
      if (refused !== null && refused.code === "operation.not_found") {
        return failed(volume, `${hostId} was restarted and has nothing of it any more: remove it and import it again`);
      }
      if (refused !== null) return err(refused as Problem);
      return piece.last ? settled(volume, end) : ok({ offset: end, state: "filling" });
    },
  };
};
