/** The whole public surface: `main` runs a command line in this process. */
import { Exit } from "./failure.ts";
import { processIo } from "./io.ts";
import { runProgram } from "./program.ts";

/** Runs `berth WORDS…`, and ends the process with its exit status once everything is written. */
export const main = async (words: readonly string[]): Promise<void> => {
  const io = processIo(() => process.exit(Exit.interrupted));
  const ended = await runProgram(io, words);
  const status = io.readerGone() ? Exit.readerGone : ended;
  process.exitCode = status;
  // What is still open (a long poll, a stream) belongs to a command that has ended.
  await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
  process.exit(status);
};

const flushed = (stream: NodeJS.WriteStream): Promise<void> =>
  new Promise((resolve) => {
    if (stream.writableEnded || stream.destroyed) resolve();
    else stream.write("", () => resolve());
  });
