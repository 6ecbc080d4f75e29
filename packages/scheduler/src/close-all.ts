/** Stops what was started, the last first. Nothing that fails to stop, or does not come to its end, keeps the rest from it. */
import type { Logger } from "pino";

export type Closers = (() => Promise<void> | void)[];

/** Longer than any of them gives itself, which is 10 s; a process that must end shall end. */
const MOST_MS = 20_000;

export const closeAll = async (closers: Closers, logger: Logger, mostMs = MOST_MS): Promise<void> => {
  for (const close of closers.splice(0).reverse()) {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<"late">((resolve) => {
      timer = setTimeout(() => resolve("late"), mostMs);
    });
    try {
      const closed = await Promise.race([close(), late]);
      if (closed === "late") logger.error({ mostMs }, "close_given_up");
    } catch (error) {
      logger.error({ err: error }, "close_failed");
    } finally {
      clearTimeout(timer);
    }
  }
};
