/**
 * A reason not to start (or not to go on) that an operator can act on. The message says what is wrong and what to do; the
 * process prints it as one line and exits with 1. Everything else that is thrown is a bug.
 */
export class StartupProblem extends Error {
  override readonly name = "StartupProblem";
}
