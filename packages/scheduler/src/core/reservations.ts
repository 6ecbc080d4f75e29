/**
 * Room that is kept for a task whose host is decided but not yet empty enough. It is booked like an allocation, so nobody
 * else is given it; what is free there may be negative until those that were stopped have ended. A reservation lives only
 * as long as its task wants a place and its host answers: then the task is planned anew.
 */
import type { DeviceGrant, HostId } from "@berth/schema";
import { bookedFor } from "./granted.ts";
import { askedOf, type RequestClass } from "./request-class.ts";
import type { MutableHost, MutableJob, MutableState } from "./state.ts";

export interface Reservation {
  readonly job: MutableJob;
  readonly index: number;
  readonly hostId: HostId;
  /** As it is booked. */
  readonly requestClass: RequestClass;
  readonly devices: readonly DeviceGrant[];
}

/** As an image keeps it. */
export interface ReservationFacts {
  readonly job: string;
  readonly index: number;
  readonly hostId: HostId;
  readonly devices?: readonly DeviceGrant[];
}

export const reserve = (
  state: MutableState,
  job: MutableJob,
  index: number,
  host: MutableHost,
  devices: readonly DeviceGrant[] = [],
): void => {
  const requestClass = bookedFor(state, host.id, job.requestClass, devices);
  const reservation = { job, index, hostId: host.id, requestClass, devices };
  job.reserved.set(index, reservation);
  host.reservations.add(reservation);
  state.reservations.add(reservation);
  state.index.book(host.slot, requestClass, 1);
  state.usage.keep(job.project, askedOf(requestClass).request, 1);
};

/** The room is anybody's again. */
export const unreserve = (state: MutableState, reservation: Reservation): void => {
  const { job, index, hostId, requestClass } = reservation;
  if (!state.reservations.delete(reservation)) return;
  job.reserved.delete(index);
  state.usage.keep(job.project, askedOf(requestClass).request, -1);
  const host = state.hosts.get(hostId);
  if (host === undefined) return;
  host.reservations.delete(reservation);
  state.index.book(host.slot, requestClass, -1);
};
