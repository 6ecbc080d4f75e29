/** Images of other hosts, asked for over the line in this session of the agent. */
import type { ClusterImages } from "../ports/images.ts";
import type { SchedulerLine } from "../ports/line.ts";
import { errorFields, type Log } from "../ports/log.ts";

export const createClusterImages = (
  line: Pick<SchedulerLine, "findImage" | "readBlob">,
  session: string,
  log: Log,
): ClusterImages => ({
  find: async (image) => {
    try {
      const answer = await line.findImage({ session, image });
      if (answer.ok) return answer.value.found ?? undefined;
      log.info({ image, code: answer.error.code, detail: answer.error.detail }, "image.cluster_silent");
    } catch (error) {
      log.warn({ image, error: errorFields(error) }, "image.cluster_failed");
    }
    return undefined;
  },
  read: (image, digest, offset) => line.readBlob({ session, image, digest, offset }),
});
