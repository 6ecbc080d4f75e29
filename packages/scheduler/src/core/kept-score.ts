/**
 * Scores as allocations keep them: there are as many as allocations, and hardly anybody ever asks. The values stand in one
 * array; names and weights of their ingredients are the same objects for all that were scored alike.
 */
import type { ScoreBreakdown } from "@berth/schema";

export interface Ingredient {
  readonly name: string;
  readonly weight: number;
}

export interface KeptScore {
  readonly scoreTotal: number;
  /** Of each ingredient. */
  readonly scoreValues: readonly number[];
  readonly ingredients: readonly Ingredient[];
}

export const scoreOf = ({ ingredients, scoreTotal, scoreValues }: KeptScore): ScoreBreakdown => ({
  total: scoreTotal,
  parts: ingredients.map(({ name, weight }, at) => ({ name, value: scoreValues[at] ?? 0, weight })),
});

export const valuesOf = ({ parts }: ScoreBreakdown): readonly number[] => parts.map(({ value }) => value);

/** Those that came up last. Rules have weights of their own, so that there may be any number. */
const MAX_KNOWN = 16;

const areOf = (ingredients: readonly Ingredient[], parts: ScoreBreakdown["parts"]): boolean => {
  if (ingredients.length !== parts.length) return false;
  for (let at = 0; at < parts.length; at += 1) {
    const [known, part] = [ingredients[at] as Ingredient, parts[at] as Ingredient];
    if (known.name !== part.name || known.weight !== part.weight) return false;
  }
  return true;
};

/** The ingredients of a score, for a state that has these already: no fact, only who shares what. */
export const ingredientsOf = (known: (readonly Ingredient[])[], { parts }: ScoreBreakdown): readonly Ingredient[] => {
  for (const ingredients of known) if (areOf(ingredients, parts)) return ingredients;
  const made = parts.map(({ name, weight }) => ({ name, weight }));
  known.unshift(made);
  if (known.length > MAX_KNOWN) known.pop();
  return made;
};
