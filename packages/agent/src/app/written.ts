/**
 * What a container wrote over its image, for whoever reads it: of one that runs, paused meanwhile, and of one that has
 * ended, as it is kept. A pause is written down before it begins: the next life of an agent that was killed in the middle
 * lets the container go on.
 */
import { err, ok, problem, type AllocationId, type Problem, type Result } from "@berth/schema";
import { containerSpecOf } from "../core/container-spec.ts";
import { allocationIn, specIn } from "../core/desired.ts";
import { NO_DEFAULTS } from "../core/images/prepared.ts";
import { idBaseOf } from "../core/slots.ts";
import { NEVER, Turns } from "../core/turns.ts";
import type { WrittenTree } from "../ports/images.ts";
import { errorFields } from "../ports/log.ts";
import type { Container } from "../ports/runtime.ts";
import type { AgentContext } from "./context.ts";

export interface OpenWritten {
  readonly tree: WrittenTree;
  /** It may be dropped. Never rejects. */
  readonly release: () => void;
}

/** Of one container: how many stand by for it to stand still, and who pauses or resumes it now. The last one lets it go on. */
interface Readers {
  count: number;
  /** How often a user, or its end, has let it go on. */
  resumed: number;
  readonly turns: Turns;
}
const readers = new WeakMap<Container, Readers>();
const NOTHING = (): Promise<void> => Promise.resolve();

const readersOf = (container: Container): Readers => {
  const known = readers.get(container) ?? { count: 0, resumed: 0, turns: new Turns(1) };
  readers.set(container, known);
  return known;
};

/** One after the other: whether it stands still and the note of who wants that are looked at and changed together. */
export const inPauseTurn = <T>(container: Container, work: () => Promise<T>): Promise<T> =>
  readersOf(container).turns.run(NEVER, work);

/** How often a user, or its end, has let it go on. */
export const timesResumed = (container: Container): number => readersOf(container).resumed;

/** A user lets it go on, or it is stopped, whoever reads it: before it goes on. */
export const noteResumed = (container: Container): void => {
  readersOf(container).resumed += 1;
};

/** What the job says about running it; empty where its image says it. */
export const runOf = (
  context: AgentContext,
  id: AllocationId,
): Pick<WrittenTree, "image" | "command" | "workdir" | "user"> | undefined => {
  const { settings, state } = context;
  const allocation = allocationIn(state.document, id);
  const spec = specIn(state.document, allocation);
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

/** Whoever paused it besides wants it to stay so: only what was noted goes on. */
const goOn = async ({ files, log, state }: AgentContext, id: AllocationId, container: Container): Promise<void> => {
  const own = readersOf(container);
  own.count -= 1;
  if (own.count > 0) return;
  try {
    if (!(await files.pausesNoted()).includes(id)) return;
    await container.resume();
    await files.notePause(id, false);
  } catch (error) {
    // The end of a container that was told to resume is no failure.
    if (state.containers.get(id)?.exit === undefined) {
      log.error({ allocationId: id, error: errorFields(error) }, "container.resume_failed");
    }
  }
};

/** Resolves to what lets it go on. One that was told to end must be able to hear that: it is read as it runs. */
const standStill = (context: AgentContext, id: AllocationId, container: Container): Promise<() => Promise<void>> => {
  const { files, state } = context;
  const mayPause = (): boolean =>
    state.containers.get(id)?.exit === undefined && state.records.get(id)?.state === "running";
  return inPauseTurn(container, async () => {
    if (!mayPause()) return NOTHING;
    readersOf(container).count += 1;
    try {
      if (!(await container.isPaused())) {
        await files.notePause(id, true);
        await container.pause();
      }
    } catch (error) {
      await goOn(context, id, container);
      if (mayPause()) throw error;
      return NOTHING;
    }
    if (!mayPause()) {
      await goOn(context, id, container);
      return NOTHING;
    }
    return () => inPauseTurn(container, () => goOn(context, id, container));
  });
};

export const openWritten = async (
  context: AgentContext,
  id: AllocationId,
  options: { readonly pause: boolean },
): Promise<Result<OpenWritten, Problem>> => {
  const { images, kept, settings, state } = context;
  const live = state.containers.get(id);
  if (live !== undefined && live.exit === undefined) {
    const { container } = live;
    const run = runOf(context, id);
    const slot = state.records.get(id)?.slot ?? null;
    const layers = run === undefined ? undefined : images.layersOf(run.image, id);
    if (run === undefined || slot === null || layers === undefined) {
      return err(problem("allocation.not_running", `${settings.host} does not know enough of ${id} to read it`));
    }
    const idBase = idBaseOf(settings.ids, slot);
    // It may end before it is read, and what it wrote lies elsewhere then.
    const directory = (): string => (kept.get(id) === undefined ? container.writablePath : kept.directory(id));
    const still = options.pause ? () => standStill(context, id, container) : () => Promise.resolve(NOTHING);
    return ok({ tree: { ...run, allocation: id, directory, still, layers, idBase }, release: kept.hold(id) });
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
  return ok({
    tree: { ...layer, directory: () => kept.directory(id), still: () => Promise.resolve(NOTHING), layers },
    release: kept.hold(id),
  });
};

/** Containers that an agent which is gone had paused go on. */
export const resumePaused = async (context: AgentContext): Promise<void> => {
  const { files, log, state } = context;
  for (const id of await files.pausesNoted()) {
    const live = state.containers.get(id);
    try {
      if (live !== undefined && live.exit === undefined) {
        log.warn({ allocationId: id }, "container.resumed");
        await live.container.resume();
      }
      await files.notePause(id, false);
    } catch (error) {
      // One that cannot go on must not keep all others waiting for an agent.
      log.error({ allocationId: id, error: errorFields(error) }, "container.resume_failed");
    }
  }
};
