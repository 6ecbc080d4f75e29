/** What ended containers wrote, as their hosts keep it: lists that are merged, and one that is kept no longer. */
import {
  decoder,
  err,
  KeptLayerPageSchema,
  LayerRemovedSchema,
  ok,
  problem,
  type AllocationId,
  type HostId,
  type KeptLayer,
  type KeptLayerList,
  type LayerRemoved,
  type Problem,
  type Result,
} from "@berth/schema";
import type { ClusterState } from "../core/index.ts";
import type { AskAgent } from "./agent-rpc.ts";
import { answeringHosts, inParallel } from "./many-agents.ts";

export interface AgentLayers {
  /** Of all hosts that answer, or of one; `sees`: of which projects. */
  readonly list: (host: HostId | undefined, sees: (project: string) => boolean) => Promise<KeptLayerList>;
  readonly remove: (host: HostId, allocation: AllocationId) => Promise<Result<LayerRemoved, Problem>>;
}

/** Pages of the longest list of one host. */
const MAX_PAGES = 200;

const decodePage = decoder(KeptLayerPageSchema);
const decodeRemoved = decoder(LayerRemovedSchema);

export const createAgentLayers = (state: ClusterState, askAgent: AskAgent): AgentLayers => {
  const unreadable = (host: HostId): Result<never, Problem> =>
    err(problem("agent.unreachable", `the answer of ${host} cannot be read`));

  const listOf = async (host: HostId): Promise<Result<KeptLayer[], Problem>> => {
    const items: KeptLayer[] = [];
    let offset: number | null = 0;
    for (let page = 0; offset !== null && page < MAX_PAGES; page += 1) {
      const answer: Result<unknown, Problem> = await askAgent(host, { kind: "layers", offset });
      if (!answer.ok) return answer;
      const decoded = decodePage(answer.value);
      if (!decoded.ok) return unreadable(host);
      items.push(...decoded.value.items);
      offset = decoded.value.next;
    }
    return ok(items);
  };

  return {
    list: async (only, sees) => {
      const hosts = only === undefined ? answeringHosts(state) : [only];
      const asked = await inParallel(hosts, async (host) => ({ host, answer: await listOf(host) }));
      return {
        items: asked.flatMap(({ answer, host }) =>
          answer.ok ? answer.value.filter(({ project }) => sees(project)).map((layer) => ({ host, layer })) : [],
        ),
        silent: asked.flatMap(({ answer, host }) => (answer.ok ? [] : [{ host, problem: answer.error }])),
      };
    },
    remove: async (host, allocation) => {
      const answer = await askAgent(host, { kind: "layer_remove", allocation });
      if (!answer.ok) return answer;
      const decoded = decodeRemoved(answer.value);
      return decoded.ok ? decoded : unreadable(host);
    },
  };
};
