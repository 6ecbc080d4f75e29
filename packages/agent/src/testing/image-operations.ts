/** Operations of an agent on its images, ordered as the scheduler orders them. */
import type { ImageOperation, ImageRequest } from "@berth/schema";
import type { FakeScheduler } from "./fake-scheduler.ts";
import { eventually } from "./eventually.ts";

export const imageOperations = (schedulerOf: () => Pick<FakeScheduler, "rpc">) => {
  let operations = 0;
  const begin = async (request: ImageRequest): Promise<string> => {
    const id = `operation-${String((operations += 1)).padStart(8, "0")}`;
    const reply = await schedulerOf().rpc({ kind: "image_start", id, request });
    if (!reply.ok) throw new Error(JSON.stringify(reply.problem));
    return id;
  };
  /** Resolves to what it is once it has ended. */
  const perform = async (request: ImageRequest): Promise<ImageOperation> => {
    const id = await begin(request);
    return await eventually(`the end of ${request.kind}`, async () => {
      const reply = await schedulerOf().rpc({ kind: "image_watch", id, revision: 0, waitMs: 0 });
      if (!reply.ok) throw new Error(JSON.stringify(reply.problem));
      const operation = reply.value as ImageOperation;
      return operation.state === "running" ? undefined : operation;
    });
  };
  return { begin, perform };
};
