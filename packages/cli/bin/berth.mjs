#!/usr/bin/env node
// The entry of the `berth` command: hands over to the built program, or says in one sentence why it cannot.
import { existsSync } from "node:fs";

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
const built = new URL("../dist/index.js", import.meta.url);

if (major < 20 || (major === 20 && minor < 19)) {
  process.stderr.write(`error: Berth needs Node 20.19 or newer; this is ${process.versions.node}\n`);
  process.exitCode = 69;
} else if (!existsSync(built)) {
  process.stderr.write(
    "error: Berth is not built yet\n" +
      "  packages/cli/dist is missing: this checkout has not been set up.\n" +
      "try: npm run setup     (or npm start, which sets up and starts a cluster)\n",
  );
  process.exitCode = 69;
} else {
  const { main } = await import(built.href);
  await main(process.argv.slice(2));
}
