// One line per step of the set-up with the time it took; the output of a step goes to a file and is shown when it fails.
import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../", import.meta.url)).replace(/\/$/, "");
export const workDir = join(root, ".berth", "setup");

const TAIL_LINES = 25;
const tty = process.stderr.isTTY === true;
const say = (text) => process.stderr.write(text);

/** What stops the set-up: a sentence, the end of the output it is about, and what to do. */
export class SetupFailure extends Error {
  constructor(message, { output = "", todo = [] } = {}) {
    super(message);
    this.output = output;
    this.todo = todo;
  }
}

export const seconds = (ms) => `${(ms / 1000).toFixed(1)}s`;

/** Runs `work` under a name. `work` gets `run` for programs; it may return a word that is shown instead of the time. */
export const step = async (name, work) => {
  const started = performance.now();
  mkdirSync(workDir, { recursive: true });
  const logFile = join(workDir, `${name.replaceAll(/[^a-z0-9]+/gi, "-")}.log`);
  closeSync(openSync(logFile, "w"));
  if (tty) say(`  ${name} …`);
  try {
    const word = await work((command, args, options) => run(logFile, command, args, options));
    const shown = typeof word === "string" ? word : seconds(performance.now() - started);
    say(`${tty ? "\r\u001b[2K" : ""}  ${name}: ${shown}\n`);
  } catch (error) {
    say(`${tty ? "\r\u001b[2K" : ""}  ${name}: failed after ${seconds(performance.now() - started)}\n`);
    throw error;
  }
};

/** Runs a program to its end; rejects with the tail of what it said. */
const run = (logFile, command, args, { env = {}, cwd = root, todo = [] } = {}) =>
  new Promise((resolve, reject) => {
    const log = openSync(logFile, "a");
    const child = spawn(command, args, { cwd, stdio: ["ignore", log, log], env: { ...process.env, ...env } });
    closeSync(log);
    child.once("error", (error) => {
      const what = error.code === "ENOENT" ? `the program ${command} is missing` : error.message;
      reject(new SetupFailure(what, { todo }));
    });
    child.once("exit", (code, signal) => {
      if (code === 0) resolve();
      else {
        const how = signal === null ? `ended with code ${code}` : `was ended by ${signal}`;
        reject(new SetupFailure(`${command} ${args.join(" ")} ${how}`, { output: tail(logFile), todo }));
      }
    });
  });

const tail = (file) => readFileSync(file, "utf8").trimEnd().split("\n").slice(-TAIL_LINES).join("\n");

/** Prints a failure in the shape that all of Berth's errors have. */
export const report = (error) => {
  if (!(error instanceof SetupFailure)) {
    say(`error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    return;
  }
  if (error.output !== "") say(`${error.output.replaceAll(/^/gm, "  | ")}\n`);
  say(`error: ${error.message}\n`);
  error.todo.forEach((hint, at) => say(`${at === 0 ? "try:" : "    "} ${hint}\n`));
};
