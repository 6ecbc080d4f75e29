/** Rejects when the line goes down: the answer to what is in flight will never come. `stop` when nobody waits any more. */
import type { Line } from "../../ports/bus.ts";

export const untilDown = (line: Line): { readonly down: Promise<never>; readonly stop: () => void } => {
  let stop = (): void => {};
  const down = new Promise<never>((_, reject) => {
    stop = line.onChange((up) => {
      if (!up) reject(new Error("the line went down"));
    });
  });
  down.catch(() => {});
  return { down, stop };
};
