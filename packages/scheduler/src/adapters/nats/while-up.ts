/** Waits for an answer, and no longer once the line has gone down: what is in flight will never be answered then. */
import type { Line } from "../../ports/bus.ts";

export const whileUp = async <T>(line: Pick<Line, "onChange">, answer: Promise<T>): Promise<T> => {
  let stop = (): void => {};
  const down = new Promise<never>((_, reject) => {
    stop = line.onChange((up) => {
      if (!up) reject(new Error("the line went down"));
    });
  });
  try {
    return await Promise.race([answer, down]);
  } finally {
    stop();
  }
};
