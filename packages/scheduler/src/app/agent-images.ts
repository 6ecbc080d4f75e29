/**
 * Images of hosts, through their agents: lists that are merged, and orders that become one operation on each host, under
 * one id. Archives pass through in pieces, never whole: in to several hosts at once, out of one.
 */
import { createHash } from "node:crypto";
import {
  ChunkSchema,
  decoder,
  err,
  IMAGE_CHUNK_BYTES,
  ImageBringingSchema,
  ImageDetailSchema,
  ImageOperationSchema,
  ImagePageSchema,
  ImageWrittenSchema,
  ok,
  problem,
  RunningOperationsSchema,
  type AllocationId,
  type CommitRequest,
  type HostId,
  type ImageBringing,
  type ImageDataTaken,
  type ImageDetails,
  type ImageList,
  type ImageOnHost,
  type ImageOperation,
  type ImageOperationList,
  type ImageOrder,
  type ImageOrders,
  type ImageRequest,
  type Problem,
  type Result,
} from "@berth/schema";
import type { ClusterState } from "../core/index.ts";
import type { AskAgent } from "./agent-rpc.ts";
import { allPages, answeringHosts, createAskFor, fromEach, fromThese, inParallel } from "./many-agents.ts";

export interface AgentImages {
  readonly list: (hosts: readonly HostId[] | undefined) => Promise<ImageList>;
  /** On every host that has it; `image.not_found` when none does. */
  readonly inspect: (image: string, hosts: readonly HostId[] | undefined) => Promise<Result<ImageDetails, Problem>>;
  readonly order: (order: ImageOrder) => Promise<Result<ImageOrders, Problem>>;
  /** What runs of it now. */
  readonly running: (hosts: readonly HostId[] | undefined) => Promise<ImageOperationList>;
  readonly watch: (
    host: HostId,
    operation: string,
    revision: number,
    waitMs: number,
  ) => Promise<Result<ImageOperation, Problem>>;
  /** What the host of an allocation brings for it now. */
  readonly bringing: (host: HostId, allocation: AllocationId) => Promise<Result<ImageBringing, Problem>>;
  readonly cancel: (host: HostId, operation: string) => Promise<Result<ImageOperation, Problem>>;
  /** Begins an operation of this id on one host; asked again, it says how far that is. */
  readonly begin: (host: HostId, operation: string, request: ImageRequest) => Promise<Result<ImageOperation, Problem>>;
  /** One piece of an archive, to hosts that import it under this id. */
  readonly write: (
    operation: string,
    hosts: readonly HostId[],
    piece: { readonly offset: number; readonly data: Buffer; readonly last: boolean },
  ) => Promise<ImageDataTaken>;
  /** Starts making an image of what a container of this host has written. */
  readonly commit: (
    host: HostId,
    allocation: AllocationId,
    request: CommitRequest,
  ) => Promise<Result<ImageOrders, Problem>>;
  /** Starts keeping what one that stands still, or has ended, wrote, as an image that is new. */
  readonly snapshot: (host: HostId, allocation: AllocationId, image: string) => Promise<Result<ImageOrders, Problem>>;
  /** An archive as it comes. What can fail before the first byte is a problem; later, the stream breaks off. */
  readonly exported: (
    host: HostId,
    request: Extract<ImageRequest, { kind: "export" | "root" | "volume_export" }>,
    signal: AbortSignal,
  ) => Promise<Result<AsyncGenerator<Buffer>, Problem>>;
}

interface Options {
  readonly state: ClusterState;
  readonly askAgent: AskAgent;
  readonly randomBytes: (size: number) => Uint8Array;
}

/** Pages of the longest list of one host. */
const MAX_PAGES = 50;
/** Hosts that are asked, one after the other, to build something. */
const MAX_TRIED = 16;
/** What an agent may take for a piece: it unpacks nothing meanwhile, but its disk may be slow. */
const PIECE_MS = 25_000;
const ATTEMPTS = 5;

const decodePage = decoder(ImagePageSchema);
const decodeBringing = decoder(ImageBringingSchema);
const decodeDetail = decoder(ImageDetailSchema);
const decodeRunning = decoder(RunningOperationsSchema);
const decodeOperation = decoder(ImageOperationSchema);
const decodeWritten = decoder(ImageWrittenSchema);
const decodeChunk = decoder(ChunkSchema);

/** So many of them, others each time: those whose names come first when mixed with `seed`. */
export const someOf = (hosts: readonly HostId[], count: number, seed: string): HostId[] => {
  const place = new Map(hosts.map((host) => [host, createHash("sha256").update(`${seed} ${host}`).digest("hex")]));
  return hosts.toSorted((a, b) => ((place.get(a) ?? "") < (place.get(b) ?? "") ? -1 : 1)).slice(0, count);
};

export const createAgentImages = ({ state, askAgent, randomBytes }: Options): AgentImages => {
  const answering = (): HostId[] => answeringHosts(state);

  const ask = createAskFor(askAgent);

  const listOf = (host: HostId): Promise<Result<ImageOnHost[], Problem>> =>
    allPages(MAX_PAGES, (offset) => ask(host, { kind: "images", offset }, decodePage));

  const newId = (): string => Buffer.from(randomBytes(18)).toString("base64url");

  /** Asks again when the agent is busy or away for a moment: a piece is never taken twice. */
  const patiently = async <T>(
    work: () => Promise<Result<T, Problem>>,
    signal?: AbortSignal,
  ): Promise<Result<T, Problem>> => {
    for (let attempt = 1; ; attempt += 1) {
      const answer = await work();
      const passing =
        !answer.ok && (answer.error.code === "request.too_many" || answer.error.code === "agent.unreachable");
      if (answer.ok || !passing || attempt === ATTEMPTS || signal?.aborted === true) return answer;
      await new Promise((resolve) => setTimeout(resolve, answer.error.retryAfterMs ?? 500));
    }
  };

  const writeTo = async (
    host: HostId,
    id: string,
    piece: { readonly offset: number; readonly data: Buffer; readonly last: boolean },
  ): Promise<Result<number, Problem>> => {
    const { data, last, offset } = piece;
    const parts: { at: number; bytes: Buffer }[] = [];
    for (let at = 0; at < data.length || parts.length === 0; at += IMAGE_CHUNK_BYTES) {
      parts.push({ at, bytes: data.subarray(at, at + IMAGE_CHUNK_BYTES) });
    }
    const answers = await Promise.all(
      parts.map(({ at, bytes }) =>
        patiently(() =>
          ask(
            host,
            {
              kind: "image_write",
              id,
              offset: offset + at,
              data: bytes.toString("base64"),
              last: last && at + bytes.length >= data.length,
            },
            decodeWritten,
            PIECE_MS,
          ),
        ),
      ),
    );
    const failed = answers.find((answer) => !answer.ok);
    return failed?.ok === false ? failed : ok(offset + data.length);
  };

  const begin = (host: HostId, id: string, request: ImageRequest): Promise<Result<ImageOperation, Problem>> =>
    ask(host, { kind: "image_start", id, request }, decodeOperation);

  const beginOn = async (host: HostId, request: ImageRequest): Promise<Result<ImageOrders, Problem>> => {
    const id = newId();
    const begun = await begin(host, id, request);
    return begun.ok ? ok({ id, items: [{ host, operation: begun.value, problem: null }] }) : begun;
  };

  return {
    list: async (hosts) => {
      const { found, silent } = await fromThese(state, hosts, listOf);
      return { items: found.flatMap(({ host, value }) => value.map((image) => ({ host, image }))), silent };
    },

    inspect: async (image, hosts) => {
      const { found, silent } = await fromEach(hosts ?? answering(), (host) =>
        ask(host, { kind: "image", image }, decodeDetail),
      );
      if (found.length > 0) return ok({ items: found.map(({ host, value }) => ({ host, image: value })) });
      const failure = silent.find((one) => one.problem.code !== "image.not_found");
      if (failure !== undefined) return err(failure.problem);
      return err(problem("image.not_found", `${hosts === undefined ? "no host" : hosts.join(", ")} has ${image}`));
    },

    order: async ({ copies, hosts, request }) => {
      const mayCopy = request.kind === "pull" || request.kind === "import";
      if (copies !== undefined && (hosts !== undefined || !mayCopy)) {
        return err(problem("request.invalid", "body/copies: only of a pull or an import, and not together with hosts"));
      }
      const id = newId();
      const chosen = hosts ?? (copies === undefined ? answering() : someOf(answering(), copies, id));
      if (request.kind === "build" && hosts !== undefined && hosts.length > 1) {
        return err(problem("request.invalid", "body/hosts: a build is on one host; the others take it from there"));
      }
      const unknown = chosen.find((host) => !state.hosts.has(host));
      if (unknown !== undefined) return err(problem("host.not_found", `there is no host ${unknown}`));
      if (chosen.length === 0) return err(problem("agent.unreachable", "no host answers now", { retryAfterMs: 2_000 }));
      const begin = async (host: HostId): Promise<ImageOrders["items"][number]> => {
        const answer = await ask(host, { kind: "image_start", id, request }, decodeOperation);
        return answer.ok
          ? { host, operation: answer.value, problem: null }
          : { host, operation: null, problem: answer.error };
      };
      if (request.kind !== "build") return ok({ id, items: await inParallel([...new Set(chosen)], begin) });
      /* The first that can: not every host has what it takes. */
      const refused: ImageOrders["items"] = [];
      for (const host of someOf(chosen, MAX_TRIED, id)) {
        const item = await begin(host);
        if (item.operation !== null) return ok({ id, items: [item] });
        refused.push(item);
      }
      return ok({ id, items: refused });
    },

    running: async (hosts) => {
      const { found, silent } = await fromThese(state, hosts, (host) =>
        ask(host, { kind: "image_operations" }, decodeRunning),
      );
      return {
        items: found.flatMap(({ host, value }) => value.items.map((operation) => ({ host, operation }))),
        silent,
      };
    },

    watch: (host, id, revision, waitMs) =>
      ask(host, { kind: "image_watch", id, revision, waitMs }, decodeOperation, waitMs),

    begin,

    bringing: (host, allocation) => ask(host, { kind: "image_bringing", allocation }, decodeBringing),

    cancel: (host, id) => ask(host, { kind: "image_cancel", id }, decodeOperation),

    write: async (id, hosts, piece) => ({
      items: await inParallel([...new Set(hosts)], async (host) => {
        const answer = await writeTo(host, id, piece);
        return answer.ok
          ? { host, offset: answer.value, problem: null }
          : { host, offset: null, problem: answer.error };
      }),
    }),

    commit: (host, allocation, { image, pause = true }) => beginOn(host, { kind: "commit", allocation, image, pause }),

    snapshot: (host, allocation, image) => beginOn(host, { kind: "snapshot", allocation, image }),

    exported: async (host, request, signal) => {
      const id = newId();
      const cancel = (): void => void askAgent(host, { kind: "image_cancel", id });
      const begun = await begin(host, id, request);
      if (!begun.ok) {
        // Its answer may be all that was lost.
        if (begun.error.code === "agent.unreachable") cancel();
        return begun;
      }
      const read = (offset: number) =>
        patiently(() => ask(host, { kind: "image_read", id, offset }, decodeChunk, PIECE_MS), signal);
      // From now on it holds something on its host, which nobody reads any more when whoever asked has left.
      signal.addEventListener("abort", cancel, { once: true });
      if (signal.aborted) cancel();
      const first = await read(0);
      if (!first.ok) {
        signal.removeEventListener("abort", cancel);
        if (!signal.aborted) cancel();
        return first;
      }
      const pieces = async function* (): AsyncGenerator<Buffer> {
        let chunk = first.value;
        let offset = 0;
        try {
          for (;;) {
            const data = Buffer.from(chunk.data, "base64");
            if (chunk.offset !== offset) throw new Error(`${host} sent byte ${chunk.offset} instead of ${offset}`);
            offset += data.length;
            if (data.length > 0) yield data;
            if (chunk.done) return;
            signal.throwIfAborted();
            const next = await read(offset);
            if (!next.ok) throw new Error(`${next.error.code}: ${next.error.detail ?? ""}`);
            chunk = next.value;
          }
        } finally {
          signal.removeEventListener("abort", cancel);
          if (!chunk.done && !signal.aborted) cancel();
        }
      };
      return ok(pieces());
    },
  };
};
