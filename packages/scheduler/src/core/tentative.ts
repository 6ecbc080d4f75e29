/**
 * Booking on the index while a plan is being made. Everything is taken back at the end: a plan is a proposal, and only
 * the log makes it true.
 */
import type { Candidate, HostId, ImageStart, ScoreBreakdown } from "@berth/schema";
import type { Stay } from "./host-ends.ts";
import type { Granted, HostIndex } from "./host-index.ts";
import type { ImageNeed, ImageSight } from "./image-start.ts";
import type { RequestClass } from "./request-class.ts";
import { addRow, STRIDE } from "./vector.ts";
import type { PlannedVolumes, VolumeKey, VolumeUse } from "./volumes.ts";

export interface Chosen {
  readonly slot: number;
  readonly hostId: HostId;
  readonly score: ScoreBreakdown;
  readonly runnersUp: readonly Candidate[];
  /** Undefined when nothing is known of its image. */
  readonly image?: ImageStart | undefined;
  /** What is booked there for it, and the devices that are its own then. */
  readonly granted: Granted;
}

const NO_RUNNERS_UP: readonly Candidate[] = [];
const NO_DEVICES: Granted["devices"] = [];

interface Booked {
  readonly sum: Float64Array;
  bookings: number;
}

interface Mounted {
  readonly hostId: HostId;
  readonly uses: VolumeUse[];
}

/** A class, since a plan of one task is made so often that it must not cost a dozen closures. */
export class Tentative {
  readonly #index: HostIndex;
  readonly #slots: number[] = [];
  readonly #classes: RequestClass[] = [];
  readonly #signs: (1 | -1)[] = [];
  readonly #stays: (Stay | undefined)[] = [];
  /** What stands on each host of the first `#summed` bookings. */
  readonly #sums = new Map<number, Booked>();
  #summed = 0;
  readonly #mounted = new Map<VolumeKey, Mounted>();
  /** What is known of hosts' images; nothing unless somebody says it. */
  images: ImageSight | undefined = undefined;
  readonly #mounts: { readonly key: VolumeKey; readonly bookings: number }[] = [];

  constructor(index: HostIndex) {
    this.#index = index;
  }

  /** How many bookings stand now. */
  get bookings(): number {
    return this.#slots.length;
  }

  /** Whether anything stands on this host that is not there. */
  isBookedAt(slot: number): boolean {
    return this.#booked().has(slot);
  }

  /** Volumes that tasks placed here mount. */
  get volumes(): PlannedVolumes {
    return {
      hostOf: (key) => this.#mounted.get(key)?.hostId,
      usesOf: (key) => this.#mounted.get(key)?.uses ?? [],
    };
  }

  /** `room`: what it may have of the host's devices, when that is not all that is free. */
  #chosen(
    slot: number,
    requestClass: RequestClass,
    runnersUp: number,
    image: ImageNeed | undefined,
    room?: Float64Array,
  ): Chosen {
    const index = this.#index;
    const hostId = index.idOf(slot);
    return {
      slot,
      hostId,
      score: index.explain(slot, requestClass, image),
      image: image?.startOn(hostId),
      granted: index.grant(slot, requestClass, room) ?? { requestClass, devices: NO_DEVICES },
      runnersUp: runnersUp === 0 ? NO_RUNNERS_UP : this.#behind(requestClass, runnersUp, image),
    };
  }

  #behind(requestClass: RequestClass, runnersUp: number, image: ImageNeed | undefined): readonly Candidate[] {
    const others = this.#index.choose(requestClass, 1 + runnersUp, image).slice(1);
    return others.map(({ hostId, slot }) => ({ hostId, score: this.#index.explain(slot, requestClass, image) }));
  }

  /** Books the best host for this class, or returns undefined when no host can take it. */
  place(requestClass: RequestClass, runnersUp: number, image?: ImageNeed): Chosen | undefined {
    const found = this.look(requestClass, runnersUp, image);
    if (found !== undefined) this.bookAt(found.slot, found.granted.requestClass);
    return found;
  }

  /** The same choice without booking it. */
  look(requestClass: RequestClass, runnersUp: number, image?: ImageNeed): Chosen | undefined {
    const slot = this.#index.pick(requestClass, image);
    return slot < 0 ? undefined : this.#chosen(slot, requestClass, runnersUp, image);
  }

  /** The same two on one host: there or nowhere. */
  placeAt(requestClass: RequestClass, slot: number, image?: ImageNeed): Chosen | undefined {
    const found = this.lookAt(requestClass, slot, image);
    if (found !== undefined) this.bookAt(slot, found.granted.requestClass);
    return found;
  }

  lookAt(requestClass: RequestClass, slot: number, image?: ImageNeed): Chosen | undefined {
    return this.#index.takes(slot, requestClass) ? this.#chosen(slot, requestClass, 0, image) : undefined;
  }

  /** Says that a task was placed on `hostId` that mounts these. */
  mount(uses: readonly VolumeUse[], hostId: HostId): void {
    for (const use of uses) {
      this.#mounts.push({ key: use.key, bookings: this.#slots.length });
      const known = this.#mounted.get(use.key);
      if (known === undefined) this.#mounted.set(use.key, { hostId, uses: [use] });
      else known.uses.push(use);
    }
  }

  #unmount(key: VolumeKey): void {
    const known = this.#mounted.get(key);
    known?.uses.pop();
    if (known?.uses.length === 0) this.#mounted.delete(key);
  }

  /** Books this host, whether there is room or not. */
  bookAt(slot: number, requestClass: RequestClass): void {
    this.#change(slot, requestClass, 1, this.#index.stayOf(requestClass));
  }

  /** What is kept or stands there is free meanwhile; `stay`: that of what stands there. */
  setAside(slot: number, requestClass: RequestClass, stay?: Stay): void {
    this.#change(slot, requestClass, -1, stay);
  }

  #change(slot: number, requestClass: RequestClass, sign: 1 | -1, stay: Stay | undefined): void {
    this.#index.tryOut(slot, requestClass, sign);
    if (stay !== undefined) this.#index.expect(slot, stay, sign);
    this.#stays.push(stay);
    this.#slots.push(slot);
    this.#classes.push(requestClass);
    this.#signs.push(sign);
  }

  /**
   * The same as `place` on a host that is decided. `aside`: what is booked there and does not stand in its way. `within`: what
   * it may have of devices, of what is free then.
   */
  placeBeside(slot: number, requestClass: RequestClass, aside: readonly RequestClass[], within?: Float64Array): Chosen {
    for (const other of aside) this.#index.tryOut(slot, other, -1);
    const room =
      within === undefined
        ? undefined
        : this.#index.room(slot).free.map((all, at) => Math.min(all, within[at] as number));
    const found = this.#chosen(slot, requestClass, 0, undefined, room);
    for (const other of aside) this.#index.tryOut(slot, other, 1);
    this.bookAt(slot, found.granted.requestClass);
    return found;
  }

  /** Counts bookings that were made since it was asked the last time: most plans never ask. */
  #booked(): ReadonlyMap<number, Booked> {
    for (; this.#summed < this.#slots.length; this.#summed += 1) {
      const slot = this.#slots[this.#summed] as number;
      const known = this.#sums.get(slot) ?? { sum: new Float64Array(STRIDE), bookings: 0 };
      known.bookings += 1;
      addRow(known.sum, 0, (this.#classes[this.#summed] as RequestClass).request, this.#signs[this.#summed] as 1 | -1);
      this.#sums.set(slot, known);
    }
    return this.#sums;
  }

  /** Of the newest booking, which is about to go. */
  #uncount(slot: number, { request }: RequestClass, sign: 1 | -1): void {
    if (this.#summed <= this.#slots.length) return;
    this.#summed -= 1;
    const known = this.#sums.get(slot);
    if (known === undefined) return;
    known.bookings -= 1;
    if (known.bookings === 0) this.#sums.delete(slot);
    else addRow(known.sum, 0, request, sign === 1 ? -1 : 1);
  }

  /**
   * Whether a host that is booked here could take this class if it were not, or could with what is given up there: a row of
   * STRIDE for each slot.
   */
  couldTake(requestClass: RequestClass, given?: Float64Array): boolean {
    const { free, ready } = this.#index.rows();
    const { request, wishes } = requestClass;
    for (const [slot, { sum }] of this.#booked()) {
      if (ready[slot] === 0) continue;
      const from = slot * STRIDE;
      let isShort = false;
      for (let at = 0; at < STRIDE && !isShort; at += 1) {
        const wanted = request[at] as number;
        if (wanted === 0) continue;
        const more = given === undefined ? 0 : (given[from + at] as number);
        isShort = wanted > (free[from + at] as number) + (sum[at] as number) + more;
      }
      if (isShort) continue;
      if (wishes.length === 0) return true;
      const room = free.slice(from, from + STRIDE);
      addRow(room, 0, sum);
      if (given !== undefined) addRow(room, 0, given.subarray(from, from + STRIDE));
      if (this.#index.hasDevices(slot, room, requestClass)) return true;
    }
    return false;
  }

  /** Takes back what was booked after there were so many bookings. */
  undoTo(bookings: number): void {
    const slots = this.#slots;
    while (slots.length > bookings) {
      const booked = this.#signs.pop() as 1 | -1;
      const sign = booked === 1 ? -1 : 1;
      const slot = slots.pop() as number;
      const requestClass = this.#classes.pop() as RequestClass;
      this.#uncount(slot, requestClass, booked);
      this.#index.tryOut(slot, requestClass, sign);
      const stay = this.#stays.pop();
      if (stay !== undefined) this.#index.expect(slot, stay, sign);
    }
    const mounts = this.#mounts;
    while ((mounts.at(-1)?.bookings ?? 0) > bookings) this.#unmount((mounts.pop() as (typeof mounts)[number]).key);
  }
}

/** Runs `work` with bookings that are gone when it returns. */
export const tentatively = <T>(index: HostIndex, work: (tentative: Tentative) => T): T => {
  const tentative = new Tentative(index);
  try {
    return work(tentative);
  } finally {
    tentative.undoTo(0);
  }
};
