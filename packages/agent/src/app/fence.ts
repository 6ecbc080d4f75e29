/** No leader older than one that was seen is believed, also in the next life of the agent. */
import { errorFields } from "../ports/log.ts";
import type { AgentContext } from "./context.ts";

export const raiseFence = async ({ journal, log, state }: AgentContext, epoch: number): Promise<void> => {
  state.fence = epoch;
  await journal.saveFence(epoch).catch((error: unknown) => {
    // The document of the new leader carries the same epoch.
    log.warn({ epoch, error: errorFields(error) }, "journal.write_failed");
  });
};
