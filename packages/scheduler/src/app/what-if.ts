/** Questions about a cluster that is not: answered on a copy of the fold, by any instance. */
import { setImmediate as turn } from "node:timers/promises";
import type { HostLosses, Problem, Result, WhatIfRequest, WhatIfView } from "@berth/schema";
import { hostLosses, whatIf, type ClusterState, type PlanEnv } from "../core/index.ts";
import type { InTurn } from "./one-at-a-time.ts";

export interface WhatIf {
  readonly whatIf: (request: WhatIfRequest) => Promise<Result<WhatIfView, Problem>>;
  /** The last answer as long as the log has not moved on, a new one otherwise. */
  readonly hostLosses: () => Promise<Result<HostLosses, Problem>>;
}

export const createWhatIf = (state: ClusterState, env: () => PlanEnv, inTurn: InTurn): WhatIf => {
  let standing: HostLosses | undefined;

  const losses = async (): Promise<HostLosses> => {
    if (standing?.revision === state.revision) return standing;
    const { revision } = state;
    const hosts: HostLosses["hosts"] = [];
    for (const loss of hostLosses(state, env().nowMs)) {
      hosts.push(loss);
      await turn();
    }
    standing = { revision, hosts };
    return standing;
  };

  return {
    whatIf: async (request) => {
      const found = await inTurn(async () => whatIf(state, request, env()));
      return found.ok ? found.value : found;
    },
    hostLosses: () => inTurn(losses),
  };
};
