/** What a log cannot show to whoever has folded it up to a revision, unless some of it is lost. Each throws. */
import type { LogEnd } from "../ports/log.ts";
import { StartupProblem } from "../ports/startup-problem.ts";
import { BrokenState } from "./fatal.ts";

export const refuseLoss = ({ firstSequence, lastSequence }: LogEnd, revision: number): void => {
  if (lastSequence < revision) {
    throw new StartupProblem(`the log ends at ${lastSequence}, but ${revision} transactions of it are known here`);
  }
  if (lastSequence > revision && firstSequence > revision + 1) {
    throw new StartupProblem(`the log begins at ${firstSequence}; what came before is needed and gone`);
  }
};

export const refuseGap = (sequence: number, revision: number): void => {
  if (sequence === revision + 1) return;
  throw new StartupProblem(`transaction ${revision + 1} is missing from the log: the next one is ${sequence}`);
};

/**
 * Whoever leads was elected in a transaction before, which every instance has folded: else what was folded here is not what
 * the log holds, as when it lost its end and another instance wrote on.
 */
export const refuseMissedElection = (sequence: number, epoch: number, known: number): void => {
  if (epoch <= known) return;
  throw new BrokenState(
    `transaction ${sequence} is of epoch ${epoch}, whose election was never seen here (epoch ${known})`,
  );
};
