/**
 * The real mmdebstrap against mirrors that fail: one that has nothing and one that never answers. A build that succeeds
 * needs a real mirror and minutes, see e2e/distros.test.ts.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createProgress } from "../../core/images/progress.ts";
import { eventually } from "../../testing/eventually.ts";
import { openImageSettings } from "./image-settings.ts";
import { openRegistrySettings } from "./registry-settings.ts";
import { openOciStore } from "./store.ts";

/** Of this process alone: processes of a build are found by their user. */
const idBase = 0x3000_0000 + (process.pid % 4096) * 65_536;
let directory: string;
let server: Server;
let mirror: string;
let answer: string | undefined;
let asked: Promise<unknown>;
const sockets = new Set<Socket>();

const builders = (): string[] =>
  readdirSync("/proc").filter((name) => {
    try {
      return /^\d+$/.test(name) && Math.floor(statSync(`/proc/${name}`).uid / 65_536) === idBase / 65_536;
    } catch {
      return false;
    }
  });
const work = (signal: AbortSignal) => ({ progress: createProgress(), signal });
const open = () =>
  openOciStore(
    join(directory, "store"),
    openRegistrySettings(join(directory, "registries.json")),
    openImageSettings(join(directory, "images.json")),
    undefined,
    idBase,
  );
const building = () => existsSync(join(directory, "store/build"));

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "berth-build-"));
  answer = undefined;
  server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("data", () => void (answer !== undefined && socket.write(answer)));
  });
  asked = once(server, "connection");
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  mirror = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}/debian`;
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  server.close();
  await eventually("all of the build has ended", () => builders().length === 0);
  rmSync(directory, { recursive: true, force: true });
});

test("a mirror that has nothing: the reason is apt's own, and nothing is left", async () => {
  answer = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
  const store = await open();
  const { progress, signal } = work(new AbortController().signal);
  await expect(store.build("distro://debian/12", mirror, { progress, signal })).rejects.toThrow(
    /bookworm.*404|404.*bookworm|apt-get update/,
  );
  expect(progress.snapshot()).toMatchObject([{ digest: "lists" }]);
  expect(building()).toBe(false);
  expect(await store.list()).toEqual([]);
});

test("it runs as somebody who owns nothing of the host, and ends at once when it is cancelled", async () => {
  const stop = new AbortController();
  const store = await open();
  const built = store.build("distro://debian/12", mirror, work(stop.signal));
  built.catch(() => undefined);
  await asked;
  const [first = ""] = builders();
  expect(first).not.toBe("");
  expect(readFileSync(`/proc/${first}/uid_map`, "utf8").trim().split(/\s+/)).toEqual(["0", String(idBase), "65536"]);
  stop.abort(new Error("it was cancelled"));
  await expect(built).rejects.toThrow("it was cancelled");
  expect(building()).toBe(false);
});

test("killed with its agent, nothing runs on, and the next life clears up", async () => {
  const program = fileURLToPath(new URL("../../testing/build-from.ts", import.meta.url));
  const child = spawn(
    process.execPath,
    ["--conditions=source", "--import", "tsx", program, join(directory, "store"), mirror, String(idBase)],
    { stdio: "inherit" },
  );
  await asked;
  expect(builders()).not.toEqual([]);
  child.kill("SIGKILL");
  await eventually("all of the build has ended", () => builders().length === 0);
  expect(building()).toBe(true);
  await open();
  expect(building()).toBe(false);
});

test("what takes too much of the disk is ended", async () => {
  writeFileSync(join(directory, "images.json"), JSON.stringify({ distros: { size: "4Ki" } }));
  const store = await open();
  await expect(store.build("distro://debian/12", mirror, work(new AbortController().signal))).rejects.toThrow(
    /more than 4096 bytes/,
  );
});
