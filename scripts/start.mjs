// `npm start [-- flags of berth up]`: sets up, then runs `berth up` in this very process, so that signals reach it directly.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { guarded, setup } from "./setup.mjs";
import { root } from "./lib/steps.mjs";

const words = process.argv.slice(2);
const asksOnly = words.includes("--help") || words.includes("-h");

if (!asksOnly) await guarded(() => setup({ tests: false, command: "npm start" }));
const { main } = await import(pathToFileURL(join(root, "packages/cli/dist/index.js")).href).catch((error) => {
  process.stderr.write(`error: Berth is not built yet (${error.code ?? error.message})\ntry: npm run setup\n`);
  process.exit(1);
});
await main(["up", ...words]);
