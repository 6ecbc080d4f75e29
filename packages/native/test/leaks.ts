/**
 * Starts and removes containers through the addon, good and failing ones, and leaves: the leak sanitizer then looks at
 * what nobody points to any more. Run by scripts/sanitized.mjs on the build with sanitizers.
 */
import { openScratch } from "./scratch.ts";

const ROUNDS = 20;

const scratch = await openScratch("leaks");
let ended = 0;
try {
  for (let i = 0; i < ROUNDS; i += 1) {
    const exit = await scratch.run(["true"]);
    if (exit?.code === 0) ended += 1;
    await scratch.run(["no-such-program"]);
    const container = await scratch.start(["sleep", "1000"]);
    await container?.stop({ signal: 15, graceMs: 1000 });
    await container?.remove();
  }
} finally {
  await scratch.close();
}
process.stdout.write(`${3 * ROUNDS} starts, ${ended} of ${ROUNDS} programs ended well\n`);
process.exitCode = ended === ROUNDS ? 0 : 1;
