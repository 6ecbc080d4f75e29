/**
 * Serves jobs in turn within one plan, as long as records remain: all of them, or, for a job that nobody has submitted yet,
 * those whose turn comes before its own. Projects of the same standing take turns, so whose turn it is may change with
 * every task that the guest is given.
 */
import type { JobKey } from "@berth/schema";
import { Service, type Due, type Guest } from "./lines.ts";
import type { Serving } from "./serve.ts";
import { placeReserved } from "./serve-reserved.ts";
import type { MutableJob, MutableState } from "./state.ts";
import type { Vector } from "./vector.ts";

export interface Who {
  /** Only these are served. */
  readonly isAhead?: (job: MutableJob) => boolean;
  /** Whoever comes after it is left alone. */
  readonly guest?: Guest;
  /** This one is about to be replaced: it gets nothing any more, and what is kept for it is free. */
  readonly replaced?: MutableJob | undefined;
  /** Nor do these get anything; what they have they keep. */
  readonly withoutJobs?: ReadonlySet<JobKey>;
}

const NO_JOBS: ReadonlySet<JobKey> = new Set();

export class Turns {
  readonly #state: MutableState;
  readonly #due: Due;
  readonly #serving: Serving;
  readonly #nowMs: number;
  readonly #who: Who;
  /** Undefined until those have been served for whom room was kept. */
  #service: Service | undefined;
  #isCut = false;

  constructor(state: MutableState, due: Due, serving: Serving, nowMs: number, who: Who) {
    this.#state = state;
    this.#due = due;
    this.#serving = serving;
    this.#nowMs = nowMs;
    this.#who = who;
  }

  /** Serves whoever's turn it is; returns true when the plan was cut short, from where it does not go on. */
  serve(): boolean {
    this.#service ??= this.#begin();
    while (this.#service !== undefined && !this.#isCut) {
      const next = this.#service.next();
      if (next === undefined) break;
      const { line, job, isShared } = next;
      const served = this.#serving.serve(job, this.#due.get(job), isShared ? 1 : Number.POSITIVE_INFINITY, line);
      this.#service.give(job.project, job.requestClass.request, served.placed);
      this.#isCut = served.end === "cut";
      if (served.end === "blocked" || this.#isCut) continue;
      if (served.end !== "more") this.#service.advance(line, job);
      if (served.end === "held") this.#service.passOver(line);
      this.#service.putBack(line);
    }
    return this.#isCut;
  }

  /** The guest is given so many: its turn comes later. */
  giveGuest(request: Vector, tasks: number): void {
    const { guest } = this.#who;
    if (guest !== undefined) this.#service?.give(guest.spec.project, request, tasks);
  }

  #begin(): Service | undefined {
    const { guest, isAhead = () => true, replaced, withoutJobs = NO_JOBS } = this.#who;
    this.#isCut ||= placeReserved(this.#state, this.#serving, withoutJobs, replaced);
    if (this.#isCut) return undefined;
    const { knowsEnds, taken } = this.#serving;
    return new Service(this.#state, this.#due, this.#nowMs, {
      ...{ stopped: taken.ids, asksAll: replaced !== undefined, knowsEnds, leftOut: withoutJobs, guest },
      isAhead: (job) => job !== replaced && isAhead(job),
    });
  }
}
