/** All mutants, by rule. */
import type { Mutant } from "./mutant.ts";
import { ofAgentsAndTheApi } from "./of-agents-and-the-api.ts";
import { ofArchives } from "./of-archives.ts";
import { ofLimits } from "./of-limits.ts";
import { ofPathsAndFiles } from "./of-paths-and-files.ts";
import { ofRights } from "./of-rights.ts";

export { testPathOf, type Edit, type Mutant } from "./mutant.ts";
export const mutants: readonly Mutant[] = [
  ...ofPathsAndFiles,
  ...ofArchives,
  ...ofRights,
  ...ofLimits,
  ...ofAgentsAndTheApi,
].toSorted((a, b) => a.rule - b.rule);
