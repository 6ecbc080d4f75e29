/** The dashboard's files, its page for every address of a browser, and nothing outside its directory. */
import { mkdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { answerOf, startScheduler, type TestScheduler } from "../../testing/scheduler.ts";
import { tempDir } from "../../testing/temp.ts";

let scheduler: TestScheduler;
beforeAll(async () => {
  const directory = join(tempDir(), "dist");
  mkdirSync(join(directory, "assets"), { recursive: true });
  writeFileSync(join(directory, "index.html"), "<!doctype html><title>page</title>");
  writeFileSync(join(directory, "assets/app-1a2b.js"), "1");
  writeFileSync(join(directory, "../outside"), "secret");
  scheduler = await startScheduler({ dashboardDir: directory });
});

const get = (path: string, accept = "text/html,*/*") =>
  fetch(scheduler.url + path, { headers: { accept } }).then(answerOf);

test("the page at its own address and at every address of the app, always asked for anew", async () => {
  for (const path of ["/", "/index.html", "/jobs/default/a", "/hosts?sort=name"]) {
    const answer = await get(path);
    expect([path, answer.status, answer.text]).toEqual([path, 200, "<!doctype html><title>page</title>"]);
    expect(answer.headers.get("content-type")).toMatch(/^text\/html/);
    expect(answer.headers.get("cache-control")).toBe("no-cache");
    expect(answer.headers.get("content-security-policy")).toContain("script-src 'self'");
  }
});

test("assets for ever; what is not there is a problem for programs", async () => {
  const asset = await get("/assets/app-1a2b.js", "*/*");
  expect([asset.status, asset.headers.get("cache-control")]).toEqual([200, "public, max-age=31536000, immutable"]);
  expect((await get("/assets/none.js", "*/*")).body).toMatchObject({ code: "route.not_found" });
  expect((await get("/v1/none")).body).toMatchObject({ code: "route.not_found" });
});

/** fetch() would tidy the path up. */
const raw = (path: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(scheduler.url);
    const socket = connect(Number(port), hostname, () =>
      socket.write(`GET ${path} HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`),
    );
    let text = "";
    socket
      .on("data", (chunk) => (text += chunk.toString()))
      .on("close", () => resolve(text))
      .on("error", reject);
  });

test("no way out of the directory", async () => {
  for (const path of [
    "/../outside",
    "/%2e%2e/outside",
    "/assets/..%2f..%2f..%2foutside",
    "//outside",
    "/..%5coutside",
    "/%00",
  ]) {
    expect(await raw(path), path).not.toContain("secret");
  }
});

test("without a built dashboard a browser is told so", async () => {
  const bare = await startScheduler();
  const answer = await fetch(`${bare.url}/`, { headers: { accept: "text/html" } }).then(answerOf);
  expect([answer.status, answer.text.includes("not built")]).toEqual([200, true]);
});
