/** What ended containers wrote, as their hosts keep it: lists that are merged, and one that is kept no longer. */
import {
  decoder,
  KeptLayerPageSchema,
  LayerRemovedSchema,
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
import { allPages, createAskFor, fromThese } from "./many-agents.ts";

export interface AgentLayers {
  /** Of all hosts that answer, or of one; `sees`: of which projects. */
  readonly list: (host: HostId | undefined, sees: (project: string) => boolean) => Promise<KeptLayerList>;
  /** Which host keeps what this allocation wrote, also when the scheduler's history has forgotten it. */
  readonly find: (allocation: AllocationId) => Promise<KeptLayerList["items"][number] | undefined>;
  readonly remove: (host: HostId, allocation: AllocationId) => Promise<Result<LayerRemoved, Problem>>;
}

/** Pages of the longest list of one host. */
const MAX_PAGES = 200;

const decodePage = decoder(KeptLayerPageSchema);
const decodeRemoved = decoder(LayerRemovedSchema);

export const createAgentLayers = (state: ClusterState, askAgent: AskAgent): AgentLayers => {
  const ask = createAskFor(askAgent);
  const listOf = (host: HostId): Promise<Result<KeptLayer[], Problem>> =>
    allPages(MAX_PAGES, (offset) => ask(host, { kind: "layers", offset }, decodePage));

  return {
    list: async (only, sees) => {
      const { found, silent } = await fromThese(state, only === undefined ? undefined : [only], listOf);
      const items = found.flatMap(({ host, value }) =>
        value.filter(({ project }) => sees(project)).map((layer) => ({ host, layer })),
      );
      return { items, silent };
    },
    find: async (allocation) => {
      const { found } = await fromThese(state, undefined, listOf);
      for (const { host, value } of found) {
        const layer = value.find((one) => one.allocation === allocation);
        if (layer !== undefined) return { host, layer };
      }
      return undefined;
    },
    remove: (host, allocation) => ask(host, { kind: "layer_remove", allocation }, decodeRemoved),
  };
};
