/** What of a lane the kernel does not count: what rules prefer, and devices. */
import { SCORE_UNITS, withEnds } from "./score.ts";
import type { Lane } from "./score-strip.ts";

/** The groups of which it matters to a lane how many stand on a host. */
export const groupsOf = ({ check }: Lane): readonly string[] =>
  check === null ? [] : [...check.rules.hostLimits, ...check.rules.hostTogether].map(({ group }) => group);

/** With rules, the weights that may be added leave less to the packing. */
export const weighed = ({ check }: Lane, slot: number, units: number): number =>
  check === null || check.total === 1 || units < 0
    ? units
    : Math.round((units + (check.preferred[slot] as number) * SCORE_UNITS) / check.total);

/** What becomes of the score of a host by how its work ends together with the task. */
export const ended = ({ check }: Lane, slot: number, units: number, aligned: number): number =>
  check === null || check.total === 1
    ? withEnds(units, aligned)
    : withEnds(units, aligned, check.total, check.preferred[slot] as number);

/** The most that could become of it on any host. */
export const endedAtMost = ({ check }: Lane, units: number): number =>
  check === null ? withEnds(units, 1) : withEnds(units, 1, check.total, check.mostPreferred);

/** What is preferred differs from host to host. */
export const isWeighed = ({ check }: Lane): boolean => check !== null && check.rules.prefer.length > 0;
/** By what the kernel divides a score, where nothing but that is to be done for the weights of rules. */
export const divisorOf = (lane: Lane): number => (lane.check === null || isWeighed(lane) ? 1 : lane.check.total);
export const wantsDevices = ({ ask }: Lane): boolean => ask.wishes.length > 0 || ask.columns;

/** Nothing is to be said of its scores beside what the kernel says. */
export const isPlain = (lane: Lane | undefined): boolean =>
  lane === undefined || !(isWeighed(lane) || wantsDevices(lane));
