/** Waiting for what must become true. The time is a bound for failures, never part of what is claimed. */
import { setTimeout as sleep } from "node:timers/promises";

const STEP_MS = 200;

/** Asks until `probe` neither throws nor answers undefined or false; then fails with its last complaint. */
export const eventually = async <T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  mostMs = 60_000,
): Promise<T> => {
  const deadline = performance.now() + mostMs;
  let complaint = "it never was";
  for (;;) {
    try {
      const answer = await probe();
      if (answer !== undefined && answer !== false) return answer;
      complaint = "it never was";
    } catch (error) {
      complaint = error instanceof Error ? error.message : String(error);
    }
    if (performance.now() > deadline) throw new Error(`${what}: not within ${mostMs / 1000}s (${complaint})`);
    await sleep(STEP_MS);
  }
};
