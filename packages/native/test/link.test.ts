/** The addon's connection to a supervisor, with this process at the other end. */
import { spawn } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { addonPath, binding, type Link } from "../lib/binding.ts";

let directory = "";
let root = -1;
let server: Server;
const links: Link[] = [];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "berth-link-"));
  mkdirSync(join(directory, "it"));
  root = openSync(directory, "r");
  server = createServer({ pauseOnConnect: true });
  await new Promise<void>((resolve) => server.listen(join(directory, "it/control.sock"), resolve));
});
afterEach(() => {
  for (const link of links.splice(0)) link.close();
  server.close();
  closeSync(root);
  rmSync(directory, { recursive: true });
});

/** Our end, and theirs. */
const connected = async (): Promise<readonly [number, Socket]> => {
  const theirs = new Promise<Socket>((resolve) => server.once("connection", resolve));
  return [binding().dial(root, "it"), await theirs];
};

test.each([5, 100_000])(
  "%i bytes of a peer that ended with a request unread arrive, and then the end",
  async (size) => {
    const [ours, theirs] = await connected();
    writeSync(ours, "unread");
    await new Promise((resolve) => theirs.write(Buffer.alloc(size, 65), resolve));
    const closed = new Promise((resolve) => theirs.once("close", resolve));
    theirs.destroy();
    await closed;
    const pieces: Buffer[] = [];
    const end = new Promise((resolve) => {
      links.push(new (binding().Link)(ours, (bytes) => (bytes === null ? resolve("end") : pieces.push(bytes))));
    });
    expect(await Promise.race([end, sleep(5000)])).toBe("end");
    expect(Buffer.concat(pieces).length).toBe(size);
  },
);

/** A process of its own, in which `addon` and `dial()` are there. */
const script = async (text: string): Promise<{ readonly code: number | null; readonly said: string }> => {
  const head = `
    const addon = require(${JSON.stringify(addonPath)});
    const root = require("node:fs").openSync(${JSON.stringify(directory)});
    const dial = () => addon.dial(root, "it");`;
  const child = spawn(process.execPath, ["-e", head + text], { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  child.stdout.on("data", (bytes: Buffer) => (said += bytes.toString()));
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, said };
};

test("what a listener throws is uncaught, and comes out of no later call", async () => {
  server.on("connection", (socket) => socket.end("x"));
  const ended = await script(`
    process.once("uncaughtException", ({ message }) => {
      link.close();
      console.log(message, addon.eventFd() > 0);
    });
    const link = new addon.Link(dial(), () => { throw new Error("thrown by a listener"); });`);
  expect(ended).toEqual({ code: 0, said: "thrown by a listener true\n" });
});

/* The build with sanitizers tells whether memory is used after its end. */
test("a thread that ends with a connection and a watch open ends well", async () => {
  server.on("connection", (socket) => socket.write("x"));
  const thread = `
    const { parentPort } = require("node:worker_threads");
    const addon = require(${JSON.stringify(addonPath)});
    globalThis.poller = new addon.Poller(addon.eventFd(), false, () => undefined);
    poller.start();
    const root = require("node:fs").openSync(${JSON.stringify(directory)});
    globalThis.link = new addon.Link(addon.dial(root, "it"), (bytes) => parentPort.postMessage(bytes));`;
  const ended = await script(`
    const thread = new (require("node:worker_threads").Worker)(${JSON.stringify(thread)}, { eval: true });
    thread.once("message", async (bytes) => console.log(Buffer.from(bytes).toString(), await thread.terminate()));`);
  expect(ended).toEqual({ code: 0, said: "x 1\n" });
});
