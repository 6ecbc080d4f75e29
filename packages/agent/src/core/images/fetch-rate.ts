/** How fast images came to this host so far: what a later start may expect. Small fetches say more of latency than of rate. */
import type { FetchRates } from "@berth/schema";

const LEAST_BYTES = 2 ** 20;
/** Of each new measurement. */
const SHARE = 0.3;

export class FetchRate {
  readonly #bytesPerSecond: Record<keyof FetchRates, number | null> = { registry: null, cluster: null };

  /** Archives of so many bytes were fetched and unpacked in that time. */
  note(from: keyof FetchRates, bytes: number, elapsedMs: number): void {
    if (bytes < LEAST_BYTES || elapsedMs <= 0) return;
    const now = (bytes * 1_000) / elapsedMs;
    const before = this.#bytesPerSecond[from];
    this.#bytesPerSecond[from] = before === null ? now : before + SHARE * (now - before);
  }

  get now(): FetchRates {
    const whole = (rate: number | null): number | null => (rate === null ? null : Math.round(rate));
    return { registry: whole(this.#bytesPerSecond.registry), cluster: whole(this.#bytesPerSecond.cluster) };
  }
}
