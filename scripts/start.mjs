/** `npm start`: sets everything up, then becomes `berth up` in the foreground. Arguments are passed on. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { root, runMain, setup } from "./setup.mjs";

await runMain(async () => {
  await setup({ tests: false });
  const berth = spawn(process.execPath, [join(root, "packages/cli/bin/berth.mjs"), "up", ...process.argv.slice(2)], {
    stdio: "inherit",
  });
  // A terminal's Ctrl-C reaches the child by itself; a signal sent to this process alone must be handed on.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.on(signal, () => {
      if (signal !== "SIGINT" || !process.stdin.isTTY) berth.kill(signal);
    });
  }
  process.exitCode = await new Promise((resolve) =>
    berth.once("close", (code, signal) => resolve(signal === null ? (code ?? 1) : 1)),
  );
});
