/** Asking hosts for what they know: one for a value or for a list by its pages, many for the same thing, some at a time. */
import { err, ok, problem, type Decoder, type HostId, type Problem, type Result, type Rpc } from "@berth/schema";
import type { ClusterState, HostRecord } from "../core/index.ts";
import type { AskAgent } from "./agent-rpc.ts";

/** Hosts that are asked at a time. */
const PARALLEL = 32;

export const inParallel = async <T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> => {
  const results: R[] = [];
  for (let at = 0; at < items.length; at += PARALLEL) {
    results.push(...(await Promise.all(items.slice(at, at + PARALLEL).map(work))));
  }
  return results;
};

const answers = ({ session, state }: HostRecord): boolean =>
  session !== null && state !== "lost" && state !== "disconnected";

/** Hosts that can be asked now, by name. */
export const answeringHosts = (state: ClusterState): HostId[] =>
  [...state.hosts.values()]
    .filter(answers)
    .map(({ id }) => id)
    .toSorted();

type Silent = { readonly host: HostId; readonly problem: Problem };

/** Hosts of the cluster that cannot be asked now, by name: what they keep is missing from a list of all hosts. */
export const silentHosts = (state: ClusterState): Silent[] =>
  [...state.hosts.values()]
    // One that never came has nothing.
    .filter((host) => host.inventory !== null && !answers(host))
    .map(({ id }) => id)
    .toSorted()
    .map((host) => ({
      host,
      problem: problem("agent.unreachable", `${host} does not answer now: what it keeps is not listed`),
    }));

/** An answer that has been decoded; `waitMs` as in AskAgent. */
export type AskFor = <T>(
  host: HostId,
  op: Rpc["op"],
  decode: Decoder<T>,
  waitMs?: number,
) => Promise<Result<T, Problem>>;

export const createAskFor =
  (askAgent: AskAgent): AskFor =>
  async (host, op, decode, waitMs = 0) => {
    const answer = await askAgent(host, op, waitMs);
    if (!answer.ok) return answer;
    const decoded = decode(answer.value);
    return decoded.ok ? decoded : err(problem("agent.unreachable", `the answer of ${host} cannot be read`));
  };

/** All of a list, page by page, but no more than so many: a host must not keep us for ever. */
export const allPages = async <T>(
  maxPages: number,
  ask: (offset: number) => Promise<Result<{ readonly items: readonly T[]; readonly next: number | null }, Problem>>,
): Promise<Result<T[], Problem>> => {
  const items: T[] = [];
  let offset: number | null = 0;
  for (let page = 0; offset !== null && page < maxPages; page += 1) {
    const answer: Awaited<ReturnType<typeof ask>> = await ask(offset);
    if (!answer.ok) return answer;
    items.push(...answer.value.items);
    offset = answer.value.next;
  }
  return ok(items);
};

/** What these hosts answer; without any of them said, all of the cluster. */
export const fromThese = async <T>(
  state: ClusterState,
  hosts: readonly HostId[] | undefined,
  ask: (host: HostId) => Promise<Result<T, Problem>>,
): ReturnType<typeof fromEach<T>> => {
  if (hosts !== undefined) return await fromEach(hosts, ask);
  const { found, silent } = await fromEach(answeringHosts(state), ask);
  return { found, silent: [...silent, ...silentHosts(state)] };
};

/** What each host answers, and what kept the others from it. */
export const fromEach = async <T>(
  hosts: readonly HostId[],
  ask: (host: HostId) => Promise<Result<T, Problem>>,
): Promise<{
  readonly found: readonly { readonly host: HostId; readonly value: T }[];
  readonly silent: Silent[];
}> => {
  const asked = await inParallel(hosts, async (host) => ({ host, answer: await ask(host) }));
  return {
    found: asked.flatMap(({ host, answer }) => (answer.ok ? [{ host, value: answer.value }] : [])),
    silent: asked.flatMap(({ host, answer }) => (answer.ok ? [] : [{ host, problem: answer.error }])),
  };
};
