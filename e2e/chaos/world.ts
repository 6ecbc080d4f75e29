/** What a run needs of a cluster, whichever way it is put together. */
import type { Fault, Possible } from "./schedule.ts";
import type { Tail } from "./tail.ts";

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

export interface Instance {
  readonly name: string;
  /** Undefined: no answer came in time, or no connection. */
  readonly call: (
    method: "GET" | "POST",
    path: string,
    body?: object,
    idempotencyKey?: string,
  ) => Promise<Answer | undefined>;
}

/** Ends what a fault has begun. */
export type LetGo = () => void | Promise<void>;

export interface World {
  /** `hosts/NAME` in it is each agent's directory. */
  readonly dataDir: string;
  readonly hosts: number;
  /** Schedulers, each of which takes requests. */
  readonly instances: readonly Instance[];
  readonly possible: readonly Possible[];
  readonly tail: Tail;
  /** Rejects when it cannot be done now. */
  readonly strike: (fault: Fault) => Promise<LetGo | undefined>;
  /** What no fault explains. */
  readonly wrong: () => readonly string[];
  /** Resolves to what is left on the machine; with `keepFiles` everything but the programs. */
  readonly close: (keepFiles?: boolean) => Promise<string[]>;
}
