/**
 * What a container wrote over its image, for whoever reads it: of one that runs, paused meanwhile, and of one that has
 * ended, as it is kept. A pause is written down before it begins: the next life of an agent that was killed in the middle
 * lets the container go on.
 */
import { err, ok, problem, type AllocationId, type Problem, type Result } from "@berth/schema";
import { containerSpecOf } from "../core/container-spec.ts";
import { NO_DEFAULTS } from "../core/images/prepared.ts";
import { idBaseOf } from "../core/slots.ts";
import type { WrittenTree } from "../ports/images.ts";
import { errorFields } from "../ports/log.ts";
import type { Container } from "../ports/runtime.ts";
import type { AgentContext } from "./context.ts";

export interface OpenWritten {
  readonly tree: WrittenTree;
  /** Lets a container go on, a kept layer be dropped. Never rejects. */
  readonly release: () => Promise<void>;
}

/** Containers that somebody reads, and how many do: the last one lets it go on. */
const readers = new WeakMap<Container, number>();

/** What the job says about running it; empty where its image says it. */
export const runOf = (
  context: AgentContext,
  id: AllocationId,
): Pick<WrittenTree, "image" | "command" | "workdir" | "user"> | undefined => {
  const { settings, state } = context;
  const allocation = state.document?.allocations.find((one) => one.id === id);
  const spec = allocation === undefined ? undefined : state.document?.specs[allocation.spec];
  if (allocation === undefined || spec === undefined) return undefined;
  const place = { id, image: { layers: [], defaults: NO_DEFAULTS }, idBase: 0, outputRoot: "", volumes: new Map() };
  const bare = { ...spec, volumes: [], outputs: [] };
  const { command } = containerSpecOf({ host: settings.host, allocation, spec: bare }, place);
  return { image: spec.image, command, workdir: spec.workdir, user: spec.user ?? "" };
};

const notKept = (host: string, id: AllocationId): Problem =>
  problem(
    "allocation.not_kept",
    `${host} does not keep what ${id} wrote: it wrote nothing over its image, or it was dropped by age or size`,
  );

/** The end of a container that was told to pause, or resumed, is no failure. */
const pauseWhile = async (
  context: AgentContext,
  id: AllocationId,
  container: Container,
): Promise<() => Promise<void>> => {
  const { files, log } = context;
  const before = readers.get(container) ?? 0;
  if (before === 0 && (await container.isPaused())) return () => Promise.resolve();
  readers.set(container, before + 1);
  const goOn = async (): Promise<void> => {
    const left = (readers.get(container) ?? 1) - 1;
    readers.set(container, left);
    if (left > 0) return;
    try {
      // Whoever paused it besides wants it to stay so.
      if (!(await files.pausesNoted()).includes(id)) return;
      await container.resume();
      await files.notePause(id, false);
    } catch (error) {
      if (context.state.containers.get(id)?.exit === undefined) {
        log.error({ allocationId: id, error: errorFields(error) }, "container.resume_failed");
      }
    }
  };
  try {
    await files.notePause(id, true);
    // Also when another reader has begun to: both go on when all of it stands still.
    await container.pause();
  } catch (error) {
    await goOn();
    throw error;
  }
  return goOn;
};

export const openWritten = async (
  context: AgentContext,
  id: AllocationId,
  options: { readonly pause: boolean },
): Promise<Result<OpenWritten, Problem>> => {
  const { images, kept, settings, state } = context;
  const live = state.containers.get(id);
  if (live !== undefined && live.exit === undefined) {
    const run = runOf(context, id);
    const slot = state.records.get(id)?.slot ?? null;
    const layers = run === undefined ? undefined : images.layersOf(run.image, id);
    if (run === undefined || slot === null || layers === undefined) {
      return err(problem("allocation.not_running", `${settings.host} does not know enough of ${id} to read it`));
    }
    // One that was told to end must be able to hear that.
    const mayPause = options.pause && state.records.get(id)?.state === "running";
    const release = mayPause ? await pauseWhile(context, id, live.container) : () => Promise.resolve();
    const idBase = idBaseOf(settings.ids, slot);
    return ok({ tree: { ...run, allocation: id, directory: live.container.writablePath, layers, idBase }, release });
  }
  const layer = kept.get(id);
  if (layer === undefined) return err(notKept(settings.host, id));
  const layers = images.layersOf(layer.image, id);
  if (layers === undefined) {
    return err(
      problem(
        "allocation.not_kept",
        `${settings.host} has not the layers of ${layer.image} any more, which ${id} wrote over`,
      ),
    );
  }
  const letGo = kept.hold(id);
  return ok({
    tree: { ...layer, directory: kept.directory(id), layers },
    release: () => {
      letGo();
      return Promise.resolve();
    },
  });
};

/** Containers that an agent which is gone had paused go on. */
export const resumePaused = async (context: AgentContext): Promise<void> => {
  const { files, log, state } = context;
  for (const id of await files.pausesNoted()) {
    const live = state.containers.get(id);
    if (live !== undefined && live.exit === undefined) {
      log.warn({ allocationId: id }, "container.resumed");
      await live.container.resume();
    }
    await files.notePause(id, false);
  }
};
