/** An allocation as an image has it: its spec stands apart, and its score is written as every record says it. */
import type { JobSpec, ScoreBreakdown } from "@berth/schema";
import { bookedFor } from "./granted.ts";
import { ingredientsOf, scoreOf, valuesOf, type KeptScore } from "./kept-score.ts";
import type { MutableAllocation, MutableState } from "./state.ts";

export type AllocationFacts = Omit<MutableAllocation, "spec" | "requestClass" | keyof KeptScore> & {
  readonly score: ScoreBreakdown;
};

export const factsOf = (allocation: MutableAllocation): AllocationFacts => {
  const { spec, requestClass, scoreTotal, scoreValues, ingredients, ...others } = allocation;
  void [spec, requestClass, scoreTotal, scoreValues, ingredients];
  return { ...others, score: scoreOf(allocation) };
};

export const allocationOf = (state: MutableState, facts: AllocationFacts, spec: JobSpec): MutableAllocation => {
  const { score, ...others } = facts;
  const asked = state.classes.passing(state.dimensions, spec);
  return {
    ...others,
    scoreTotal: score.total,
    scoreValues: valuesOf(score),
    ingredients: ingredientsOf(state.ingredients, score),
    spec,
    requestClass: bookedFor(state, facts.hostId, asked, facts.devices, facts.ports),
  };
};
