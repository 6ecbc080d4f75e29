/** All mutants, by rule. */
import type { Mutant } from "./mutant.ts";
import { ofPathsAndFiles } from "./of-paths-and-files.ts";
import { ofRightsAndLimits } from "./of-rights-and-limits.ts";

export type { Edit, Mutant } from "./mutant.ts";
export const mutants: readonly Mutant[] = [...ofPathsAndFiles, ...ofRightsAndLimits];
