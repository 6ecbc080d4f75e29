/** A supervisor that is a child of this process, running or a zombie: somebody has to wait for it, once. */
import type { Binding } from "./binding.ts";
import { unrefSleep } from "./host.ts";

export class Child {
  readonly #binding: Binding;
  /** 0 when somebody has, or does. */
  #pid: number;
  #isAsked = false;

  constructor(binding: Binding, pid: number) {
    this.#binding = binding;
    this.#pid = pid;
  }

  /** Whether somebody has yet to wait for it. */
  get isWaitedFor(): boolean {
    return this.#pid === 0;
  }

  /** Lets `work` wait for it, which is given 0 when there is nothing to wait for. What fails leaves it as it was. */
  async waitedForBy<T>(work: (pid: number) => Promise<T>): Promise<T> {
    const pid = this.#pid;
    this.#pid = 0;
    try {
      return await work(pid);
    } catch (cause) {
      this.#pid = pid;
      void this.reapSoon();
      throw cause;
    }
  }

  async reapSoon(): Promise<void> {
    if (this.#isAsked) return;
    this.#isAsked = true;
    for (let ms = 8; this.#pid !== 0; ms = Math.min(ms * 2, 1000)) {
      if (this.#binding.reap(this.#pid)) this.#pid = 0;
      else await unrefSleep(ms);
    }
    this.#isAsked = false;
  }
}
