/** Below a list that many hosts were asked for: those that did not answer, and why. */
import type { SnapshotList } from "@berth/schema";
import { say, type Io } from "../io.ts";

export const saySilent = async (io: Io, { silent }: Pick<SnapshotList, "silent">): Promise<void> => {
  for (const { host, problem } of silent) await say(io, `${host}: ${problem.detail ?? problem.title}`);
};
