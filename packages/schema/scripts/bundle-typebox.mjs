/**
 * TypeBox as three files with what they share, in build/typebox: every command of `berth` loads it, and looking for its 680
 * modules one by one took most of the time until a command began.
 */
import { rolldown } from "rolldown";
import { fileURLToPath } from "node:url";

const bundle = await rolldown({
  input: { index: "typebox", compile: "typebox/compile", value: "typebox/value" },
  cwd: fileURLToPath(new URL("..", import.meta.url)),
  platform: "node",
});
await bundle.write({ dir: fileURLToPath(new URL("../build/typebox", import.meta.url)), format: "esm" });
