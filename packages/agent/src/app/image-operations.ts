/**
 * Operations on images, and on archives of volumes, that a user asked for: begun by one request, followed by others, cancelled by one, kept for a while
 * when they are over. An id is used once in the life of the agent, so that a request that is played again does nothing.
 * Archives that come in or go out pass in pieces; when nobody brings or takes one for a minute, the operation is given up.
 */
import {
  err,
  MAX_SHOWN_LAYERS,
  ok,
  problem,
  type ImageOperation,
  type ImageRequest,
  type ImageResult,
  type Problem,
  type Result,
  type RunningOperations,
} from "@berth/schema";
import { forLog } from "../core/images/debian-plan.ts";
import { createProgress, type Progress } from "../core/images/progress.ts";
import { Inlet } from "../core/inlet.ts";
import { errorFields } from "../ports/log.ts";
import type { Outlet } from "../core/outlet.ts";
import type { ImageWork } from "../ports/images.ts";
import type { Ports } from "./context.ts";
import { exportedOf, isFed, OperationRefused, outletOf, perform, type Doers } from "./image-work.ts";
import { messageOf } from "./record-changes.ts";

/** What they are about is for those to see who may see the files. */
const OF_FILES: ReadonlySet<ImageRequest["kind"]> = new Set(["root", "volume_export", "volume_import"] as const);
const MAX_RUNNING = 32;
const MAX_KEPT = 128;
const MAX_USED_IDS = 16_384;
const LOOK_MS = 100;
const IDLE_MS = 60_000;
const CLOSE_MS = 5_000;

interface Operation {
  readonly id: string;
  readonly request: ImageRequest;
  readonly progress: Progress;
  readonly stop: AbortController;
  readonly inlet: Inlet | undefined;
  readonly outlet: Outlet | undefined;
  state: ImageOperation["state"];
  error: string | null;
  result: ImageResult | null;
  revision: number;
  idleSinceMs: number;
  /** Of its work, when it is not that of whoever reads. Never rejects. */
  ended: Promise<void>;
}

export interface ImageOperations {
  readonly start: (id: string, request: ImageRequest) => Result<ImageOperation, Problem>;
  readonly watch: (id: string, revision: number, waitMs: number) => Promise<Result<ImageOperation, Problem>>;
  /** As it stands; undefined when it is long over, or never began here. */
  readonly look: (id: string) => ImageOperation | undefined;
  /** Those of images that run, the oldest first. */
  readonly running: () => RunningOperations;
  readonly cancel: (id: string) => Result<ImageOperation, Problem>;
  readonly write: (id: string, offset: number, data: Uint8Array, last: boolean) => Promise<Result<number, Problem>>;
  readonly read: (
    id: string,
    offset: number,
  ) => Promise<Result<{ readonly data: Uint8Array; readonly done: boolean }, Problem>>;
  /** Resolves when what they had paused goes on, or they take too long for that. */
  readonly close: () => Promise<void>;
}

export const createImageOperations = (
  { images, volumes, clock, log }: Pick<Ports, "images" | "volumes" | "clock" | "log">,
  others: Pick<Doers, "openTree" | "refuseExport">,
): ImageOperations => {
  const doers: Doers = { verbs: images.verbs, volumes, ...others };
  const operations = new Map<string, Operation>();
  const used = new Set<string>();

  const viewOf = (one: Operation): ImageOperation => ({
    id: one.id,
    kind: one.request.kind,
    image: "image" in one.request ? one.request.image : null,
    state: one.state,
    error: one.error,
    layers: one.progress.snapshot(),
    result: one.result,
    revision: one.revision,
  });
  const unknown = (id: string): Result<never, Problem> =>
    err(
      problem("operation.not_found", `there is no operation ${id} on this host: it is long over, or never began here`),
    );

  const settle = (one: Operation, end: { readonly result: ImageResult } | { readonly error: unknown }): void => {
    if (one.state !== "running") return;
    one.revision += 1;
    if ("result" in end) {
      one.state = "succeeded";
      one.result = end.result;
      log.info({ operation: one.id, kind: one.request.kind }, "image.operation_succeeded");
      return;
    }
    one.state = "failed";
    one.error = one.stop.signal.aborted
      ? reasonText(one.stop.signal.reason)
      : end.error instanceof Error
        ? end.error.message
        : String(end.error);
    log.warn({ operation: one.id, kind: one.request.kind, error: errorFields(end.error) }, "image.operation_failed");
    one.inlet?.fail(new Error(one.error));
  };

  /** Nobody brings or takes an archive any more. */
  const watchIdle = (one: Operation): void => {
    if (one.state !== "running") return;
    // Pieces that wait while it works, or all of them, make it busy: unpacking and writing to disk may take long.
    const isBusy = one.inlet !== undefined && !one.inlet.isStarved;
    if (!isBusy && clock.monotonicMs() - one.idleSinceMs > IDLE_MS) {
      one.stop.abort(new Error(`nothing came for ${IDLE_MS / 1000} s`));
      one.inlet?.fail(new Error("the archive did not come to its end"));
      if (one.outlet !== undefined) {
        settle(one, { error: new Error("nobody took the archive") });
        void one.outlet.close().catch(() => undefined);
      }
      return;
    }
    clock.after(IDLE_MS / 4, () => watchIdle(one));
  };

  const begin = (id: string, request: ImageRequest): Operation => {
    const stop = new AbortController();
    const progress = createProgress(() => {
      one.revision += 1;
    });
    const work: ImageWork = { progress, signal: stop.signal };
    const one: Operation = {
      id,
      request,
      progress,
      stop,
      inlet: isFed(request) ? new Inlet() : undefined,
      outlet: outletOf(doers, request, work),
      state: "running",
      error: null,
      result: null,
      revision: 1,
      idleSinceMs: clock.monotonicMs(),
      ended: Promise.resolve(),
    };
    if (one.inlet !== undefined || one.outlet !== undefined) watchIdle(one);
    // An export is done when its last piece was read.
    if (one.outlet === undefined) {
      one.ended = perform(doers, one, work).then(
        (result) => settle(one, { result }),
        (error: unknown) => settle(one, { error }),
      );
    }
    return one;
  };

  const forget = (): void => {
    for (const [id, one] of operations) {
      if (operations.size <= MAX_KEPT) return;
      if (one.state !== "running") operations.delete(id);
    }
  };

  return {
    start: (id, request) => {
      const known = operations.get(id);
      if (known !== undefined) return ok(viewOf(known));
      if (used.has(id)) return unknown(id);
      const running = [...operations.values()].filter((one) => one.state === "running").length;
      if (running >= MAX_RUNNING) {
        return err(problem("request.too_many", `${MAX_RUNNING} operations run already`, { retryAfterMs: 2_000 }));
      }
      const unable = request.kind === "build" ? images.verbs.cannotBuild() : undefined;
      if (unable !== undefined) return err(problem("image.failed", unable));
      const one = begin(id, request);
      operations.set(id, one);
      used.add(id);
      const [oldest] = used;
      if (used.size > MAX_USED_IDS && oldest !== undefined) used.delete(oldest);
      forget();
      log.info({ operation: id, request: forLog(request) }, "image.operation_started");
      return ok(viewOf(one));
    },
    watch: async (id, revision, waitMs) => {
      const one = operations.get(id);
      if (one === undefined) return unknown(id);
      const until = clock.monotonicMs() + waitMs;
      while (one.revision === revision && one.state === "running" && clock.monotonicMs() < until) {
        await new Promise<void>((resolve) => void clock.after(LOOK_MS, resolve));
      }
      return ok(viewOf(one));
    },
    look: (id) => {
      const one = operations.get(id);
      return one === undefined ? undefined : viewOf(one);
    },
    running: () => ({
      items: [...operations.values()]
        .filter(({ request, state }) => state === "running" && !OF_FILES.has(request.kind))
        .map(viewOf)
        .map((one) => ({ ...one, layers: one.layers.slice(0, MAX_SHOWN_LAYERS) })),
    }),
    cancel: (id) => {
      const one = operations.get(id);
      if (one === undefined) return unknown(id);
      if (one.state === "running") {
        one.stop.abort(new Error("it was cancelled"));
        one.inlet?.fail(new Error("it was cancelled"));
        if (one.outlet !== undefined) {
          settle(one, { error: new Error("it was cancelled") });
          void one.outlet.close().catch(() => undefined);
        }
      }
      return ok(viewOf(one));
    },
    write: async (id, offset, data, last) => {
      const one = operations.get(id);
      if (one?.inlet === undefined) return unknown(id);
      one.idleSinceMs = clock.monotonicMs();
      if (one.state === "failed") return err(problem("image.failed", one.error ?? "it failed"));
      try {
        const taken = await one.inlet.write(offset, data, last);
        one.idleSinceMs = clock.monotonicMs();
        if (taken) return ok(one.inlet.offset);
        return err(problem("request.too_many", "pieces of the archive come too fast", { retryAfterMs: 200 }));
      } catch (error) {
        return err(problem("image.failed", one.error ?? messageOf(error)));
      }
    },
    read: async (id, offset) => {
      const one = operations.get(id);
      if (one?.outlet === undefined) return unknown(id);
      one.idleSinceMs = clock.monotonicMs();
      if (one.state === "failed") return err(problem("image.failed", one.error ?? "it failed"));
      try {
        const piece = await one.outlet.read(offset);
        one.idleSinceMs = clock.monotonicMs();
        if (piece === undefined) return err(problem("request.invalid", `byte ${offset} of this archive is past`));
        if (piece.done) {
          const image = exportedOf(one.request);
          settle(one, { result: { kind: "exported", image, sizeBytes: offset + piece.data.length } });
        }
        return ok(piece);
      } catch (error) {
        settle(one, { error });
        if (error instanceof OperationRefused) return err(error.reason);
        return err(problem("image.failed", one.error ?? messageOf(error)));
      }
    },
    close: async () => {
      const ends: Promise<unknown>[] = [];
      for (const one of operations.values()) {
        if (one.state === "running") one.stop.abort(new Error("the agent is leaving"));
        one.inlet?.fail(new Error("the agent is leaving"));
        ends.push(one.ended, one.outlet?.close().catch(() => undefined) ?? Promise.resolve());
      }
      let cancel: () => void = () => undefined;
      const late = new Promise<void>((resolve) => {
        cancel = clock.after(CLOSE_MS, resolve);
      });
      await Promise.race([Promise.all(ends), late]);
      cancel();
    },
  };
};

const reasonText = (reason: unknown): string => (reason instanceof Error ? reason.message : "it was cancelled");
