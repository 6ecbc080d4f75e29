/** Starts as many containers as argv[2] says, one after the other, and says how many ended well. */
import { openScratch } from "./scratch.ts";

const count = Number(process.argv[2]);
const scratch = await openScratch("starts");
let ended = 0;
/* Whoever waits for it may lose patience: then nothing is left all the same. */
let isWanted = true;
process.once("SIGTERM", () => (isWanted = false));
try {
  for (let i = 0; i < count && isWanted; i += 1) if ((await scratch.run(["true"]))?.code === 0) ended += 1;
} finally {
  await scratch.close();
}
process.stdout.write(`${process.env["BERTH_WATCHED"] === "1" ? "watched, " : ""}${ended} of ${count}\n`);
