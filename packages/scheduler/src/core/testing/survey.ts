/** What the kernel surveys of a host, counted plainly: what its answers are held against. */
import { inverseOf, type Valuation } from "../score.ts";
import { mixRows, UNLIMITED, type Scorer, type Standings } from "../scorer.ts";

/** So many hosts of `size` dimensions without devices, of which nothing is known. */
export const standingsFor = (hosts: number, size: number, { count }: Valuation): Standings => ({
  free: new Float64Array(hosts * size),
  perUnit: new Float64Array(hosts * size),
  places: new Float64Array(hosts * mixRows(count)),
  loose: new Float64Array(hosts * mixRows(count)),
  binding: new Int32Array(hosts),
  opening: new Float64Array(hosts),
  guarded: new Float64Array(hosts),
  models: new Int32Array(),
});

/** A host that is given by itself. */
export const alone = (
  valuation: Valuation,
  scorer: Pick<Scorer, "inverse" | "idle" | "surveyOpening">,
  free: Float64Array,
  all: Float64Array,
): Standings => {
  const standings = { ...standingsFor(1, free.length, valuation), free, perUnit: inverseOf(all) };
  survey(valuation, scorer, standings, 0, free.length);
  return standings;
};

/** Fills `places`, `binding` and `opening` of a host in: every dimension in which a place is counted may bind. */
export const survey = (
  { count }: Valuation,
  { inverse, idle, surveyOpening }: Pick<Scorer, "inverse" | "idle" | "surveyOpening">,
  standings: Standings,
  slot: number,
  size: number,
): void => {
  const { free, places, binding } = standings;
  const rows = mixRows(count);
  for (let row = 0; row < count; row += 1) {
    let left = UNLIMITED;
    for (let at = 0; at < size; at += 1) {
      const has = free[slot * size + at] as number;
      left = Math.min(left, has * (inverse[at * rows + row] as number) + (idle[at * rows + row] as number));
    }
    places[slot * rows + row] = Math.max(0, Math.floor(left));
  }
  binding[slot] = (1 << size) - 1;
  surveyOpening(standings, slot);
};
