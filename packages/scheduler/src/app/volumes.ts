/**
 * Volumes as users ask about them. Deleting one takes two steps: first nobody gets it any more, which is in the log, then
 * its host deletes it, which is in the log when the host has said so. Whatever is killed in between, the second step is
 * taken again, by the next one who asks or by `tick`.
 */
import {
  decoder,
  err,
  ok,
  parseBytes,
  problem,
  VolumeFillSchema,
  VolumeOnHostSchema,
  type AccessProjects,
  type HostId,
  type Origin,
  type Problem,
  type ProjectName,
  type Result,
  type VolumeCopyRequest,
  type VolumeDetail,
  type VolumeFill,
  type VolumeList,
  type VolumeRemoved,
  type VolumeRequest,
  type VolumeView,
} from "@berth/schema";
import {
  decideCopyVolume,
  decideRemoveVolume,
  decideVolume,
  decideVolumeStep,
  holdersOf,
  limitOf,
  mustExist,
  seesProject,
  volumeIdOf,
  volumeKey,
  volumeUseOf,
  type VolumeRecord,
} from "../core/index.ts";
import type { AskAgent } from "./agent-rpc.ts";
import type { Engine } from "./engine.ts";
import { pageOf, type PageRequest } from "./pages.ts";
import { writeRecords } from "./write.ts";

type Answer<T> = Promise<Result<T, Problem>>;

export interface VolumesApi {
  readonly volumes: (
    filter: { readonly project: string | undefined; readonly host: string | undefined },
    page: PageRequest,
    projects: AccessProjects,
  ) => Result<VolumeList, Problem>;
  /** Asks its host as well. */
  readonly volume: (project: ProjectName, name: string) => Answer<VolumeDetail>;
  readonly createVolume: (request: VolumeRequest, project: ProjectName, origin: Origin) => Answer<VolumeView>;
  /** Begins a copy on the same host; `filling` until it is complete. */
  readonly copyVolume: (
    request: VolumeCopyRequest,
    project: ProjectName,
    from: string,
    origin: Origin,
  ) => Answer<VolumeView>;
  /** `id`: only if it is that one; null: whichever has the name. */
  readonly removeVolume: (
    project: ProjectName,
    name: string,
    id: string | null,
    origin: Origin,
  ) => Answer<VolumeRemoved>;
}

const MAX_LISTED_USERS = 1_000;
/** A task that has just ended is still in the document that its host read last. */
const STILL_HELD_MS = 250;
const STILL_HELD_TRIES = 12;
const RETRY_EVERY_MS = 5_000;
/** Small copies are done by then; whoever asked for a large one looks again. */
const COPY_TRIES = 6;
const COPY_LOOK_MS = 200;
/** Whoever imports sends the first piece at once. */
const NEVER_CAME_MS = 60_000;
const RETRY_AT_ONCE = 32;

const decodeOnHost = decoder(VolumeOnHostSchema);
const decodeFill = decoder(VolumeFillSchema);

export const createVolumes = ({
  engine,
  askAgent,
  pause,
}: {
  readonly engine: Engine;
  readonly askAgent: AskAgent;
  readonly pause: (ms: number) => Promise<void>;
}): VolumesApi & {
  readonly tick: (nowMs: number) => Promise<void>;
  /** Asks the host of one that is being filled how far it is, and writes what came of it; only a leader can. */
  readonly follow: (volume: VolumeRecord) => Answer<"filling" | "ready">;
} => {
  const { state } = engine;
  let nextTryMs = 0;
  /** As of the last tick. */
  let nowMs = 0;

  const viewOf = (volume: VolumeRecord): VolumeView => {
    const { createdAtMs, createdBy, from, hostId, name, project, readOnly, sizeBytes } = volume;
    return {
      ...{ project, name, id: volumeIdOf(volume), host: hostId, state: volume.state, sizeBytes, readOnly, from },
      ...{ createdAtMs, createdBy, hostState: state.hosts.get(hostId)?.state ?? "removed" },
      usedBy: holdersOf(state, volume)
        .slice(0, MAX_LISTED_USERS)
        .map(({ id, index, job, spec }) => ({
          ...{ allocation: id, job, index },
          readOnly: volumeUseOf(spec, index, volume.key)?.writes !== true,
        })),
    };
  };

  const find = (project: ProjectName, name: string): Result<VolumeRecord, Problem> => {
    const volume = state.volumes.get(volumeKey(project, name));
    return volume === undefined
      ? err(problem("volume.not_found", `there is no volume ${project}/${name}`))
      : ok(volume);
  };

  /** Has its host delete it, and writes that it did. */
  const finishRemoval = async (volume: VolumeRecord, origin: Origin | null): Answer<"removed" | "removing"> => {
    const id = volumeIdOf(volume);
    for (let attempt = 1; ; attempt += 1) {
      const answer = await askAgent(volume.hostId, { kind: "volume_remove", id });
      if (answer.ok) break;
      const { code } = answer.error;
      if (code === "volume.in_use" && attempt < STILL_HELD_TRIES) {
        await pause(STILL_HELD_MS);
        continue;
      }
      // Its host hears of it when it is there again.
      return code === "agent.unreachable" || code === "message.stale" ? ok("removing") : err(answer.error);
    }
    const done = await engine.submit({
      cause: "volume removal",
      ...(origin === null ? {} : { origin }),
      need: { role: "submitter", project: volume.project },
      splittable: false,
      decide: (now) => ok({ records: decideVolumeStep(now, "volume_removed", volume), value: undefined }),
    });
    return done.ok ? ok("removed") : done;
  };

  /** Imports of which their hosts know nothing, by id: since when. */
  const absent = new Map<string, number>();

  /** How far its host is with the content: a copy, which asking begins, or an archive that somebody brings. */
  const fillOf = async (volume: VolumeRecord): Promise<VolumeFill | undefined> => {
    const id = volumeIdOf(volume);
    const source = volume.from === null ? undefined : state.volumes.get(volumeKey(volume.project, volume.from));
    // One of its name that was made later is another one.
    if (volume.from !== null && (source === undefined || source.generation > volume.generation)) {
      return { state: "failed", error: `${volume.from}, which it is a copy of, was removed` };
    }
    const answer = await askAgent(
      volume.hostId,
      source === undefined
        ? { kind: "volume_filling", id }
        : {
            ...{ kind: "volume_fill", id, from: volumeIdOf(source), ...limitOf(state, volume) },
            ...(mustExist(source) && { mustExist: true }),
          },
    );
    const fill = answer.ok ? decodeFill(answer.value) : undefined;
    if (fill?.ok !== true) return undefined;
    if (fill.value.state !== "absent" || source !== undefined) {
      absent.delete(id);
      return fill.value;
    }
    const since = absent.get(id) ?? nowMs;
    absent.set(id, since);
    if (nowMs - since < NEVER_CAME_MS) return fill.value;
    absent.delete(id);
    return { state: "failed", error: "its archive never came, or its host was restarted before all of it was there" };
  };

  /** Asks its host how far the content is, and writes what came of it. */
  const followFill = async (volume: VolumeRecord): Answer<"filling" | "ready"> => {
    const { from, generation, hostId, key, name, project } = volume;
    const fill = await fillOf(volume);
    if (fill === undefined || fill.state === "copying" || fill.state === "absent") return ok("filling");
    const { error, state: reached } = fill;
    const isFilling = (now: Engine["state"]): boolean => {
      const known = now.volumes.get(key);
      return known?.generation === generation && known.state === "filling";
    };
    const by = `failed ${from === null ? "import" : "copy"}: ${error ?? "unknown"}`.slice(0, 128);
    const done = await engine.submit({
      cause: "volume content",
      splittable: false,
      decide: (now) => {
        if (!isFilling(now)) return ok({ records: [], value: undefined });
        const record =
          reached === "ready"
            ? ({ kind: "volume_filled", project, volume: name, generation } as const)
            : ({ kind: "volume_removing", project, volume: name, generation, by } as const);
        return ok({ records: [record], value: undefined });
      },
    });
    if (!done.ok) return done;
    if (reached === "ready") return ok("ready");
    const what = from === null ? `import ${project}/${name}` : `copy ${project}/${from}`;
    return err(problem("volume.failed", `${hostId} could not ${what}: ${error ?? ""}`));
  };

  return {
    volumes: ({ host, project }, page, projects) => {
      const matching = function* (): Generator<string> {
        for (const volume of state.volumes.values()) {
          if (!seesProject({ projects }, volume.project)) continue;
          if (project !== undefined && volume.project !== project) continue;
          if (host !== undefined && volume.hostId !== host) continue;
          yield volume.key;
        }
      };
      const found = pageOf(matching(), page);
      if (!found.ok) return found;
      const items = found.value.keys.flatMap((key) => {
        const volume = state.volumes.get(key);
        return volume === undefined ? [] : [viewOf(volume)];
      });
      return ok({ items, next: found.value.next, revision: state.revision });
    },

    volume: async (project, name) => {
      const found = find(project, name);
      if (!found.ok) return found;
      const { hostId } = found.value;
      const answer = await askAgent(hostId, { kind: "volume_stat", id: volumeIdOf(found.value) });
      const onHost = answer.ok ? decodeOnHost(answer.value) : undefined;
      return ok({
        volume: viewOf(found.value),
        onHost: onHost?.ok === true ? onHost.value : null,
        revision: state.revision,
      });
    },

    createVolume: async ({ host, import: isImport = false, name, size }, project, origin) => {
      const sizeBytes = size === undefined ? ok(0) : parseBytes(size);
      if (!sizeBytes.ok) {
        const errors = [{ pointer: "/size", message: sizeBytes.error }];
        return err(problem("request.invalid", `body/size: ${sizeBytes.error}`, { errors }));
      }
      const wish = { project, name, hostId: host ?? null, sizeBytes: sizeBytes.value, readOnly: false };
      const done = await writeRecords(engine, "volume creation", origin, { role: "submitter", project }, (now) =>
        decideVolume(now, { ...wish, state: isImport ? "filling" : "new", from: null, by: origin.who }),
      );
      if (!done.ok) return done;
      const made = find(project, name);
      return made.ok ? ok(viewOf(made.value)) : made;
    },

    copyVolume: async ({ name, snapshot = false }, project, from, origin) => {
      const done = await writeRecords(engine, "volume copy", origin, { role: "submitter", project }, (now) =>
        decideCopyVolume(now, { project, from, name, snapshot, by: origin.who }),
      );
      if (!done.ok) return done;
      for (let attempt = 0; attempt < COPY_TRIES; attempt += 1) {
        const made = find(project, name);
        if (!made.ok || made.value.state !== "filling") break;
        const reached = await followFill(made.value);
        if (!reached.ok) return reached;
        if (reached.value === "filling") await pause(COPY_LOOK_MS);
      }
      const made = find(project, name);
      return made.ok ? ok(viewOf(made.value)) : made;
    },

    removeVolume: async (project, name, id, origin) => {
      const before = find(project, name);
      const done = await writeRecords(engine, "volume removal", origin, { role: "submitter", project }, (now) =>
        decideRemoveVolume(now, project, name, origin.who, id),
      );
      if (!done.ok) return done;
      const removing = state.volumes.get(volumeKey(project, name));
      // Asked again, when it had long been done: what has its name by now is another one.
      if (!before.ok || (removing !== undefined && removing.state !== "removing"))
        return ok({ project, name, host: null, state: "removed", revision: state.revision });
      const { hostId: host } = before.value;
      const isLeft = removing?.generation === before.value.generation;
      const reached = isLeft ? await finishRemoval(removing, origin) : ok("removed" as const);
      return reached.ok ? ok({ project, name, host, state: reached.value, revision: state.revision }) : reached;
    },

    follow: followFill,

    tick: async (atMs) => {
      nowMs = atMs;
      if (nowMs < nextTryMs) return;
      nextTryMs = nowMs + RETRY_EVERY_MS;
      const copies = [...state.volumes.values()].filter(({ state: reached }) => reached === "filling");
      const filling = new Set(copies.map(volumeIdOf));
      for (const id of absent.keys()) if (!filling.has(id)) absent.delete(id);
      const left = [...state.volumes.values()].filter(({ state: reached }) => reached === "removing");
      const answering = (id: HostId): boolean => {
        const host = state.hosts.get(id);
        return host !== undefined && host.session !== null && host.state !== "lost" && host.state !== "disconnected";
      };
      const due = left.filter(({ hostId }) => answering(hostId)).slice(0, RETRY_AT_ONCE);
      await Promise.all([
        ...due.map((volume) => finishRemoval(volume, null)),
        ...copies
          .filter(({ hostId }) => answering(hostId))
          .slice(0, RETRY_AT_ONCE)
          .map(followFill),
      ]);
    },
  };
};
