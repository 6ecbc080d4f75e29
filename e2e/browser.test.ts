/**
 * The dashboard in a real browser against a real cluster: sign in, watch things happen without a reload, read a log, stop a
 * job, survive the scheduler's death. On every screen, in both themes and two widths, axe finds nothing; and the whole
 * time nothing is asked of another origin and no policy is violated.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium, type Browser, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { breakingDoor, pushImage, startRegistry } from "../packages/agent/src/testing/registry.ts";
import { Cluster, eventually, kill, type Up } from "./support/index.ts";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const WIDE = { width: 1280, height: 900 };
const NARROW = { width: 390, height: 800 };

const cluster = new Cluster();
let up: Up;
let host: string;
let browser: Browser;
let page: Page;
const foreign: string[] = [];
const wrong: string[] = [];

beforeAll(async () => {
  up = await cluster.up();
  await up.ready();
  host = (await cluster.hosts())[0]?.id ?? "";
  browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
  const context = await browser.newContext({ viewport: WIDE, reducedMotion: "reduce" });
  page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol !== "data:" && url.host !== new URL(cluster.apiUrl).host) foreign.push(request.url());
  });
  page.on("pageerror", (error) => wrong.push(String(error)));
  page.on("console", (message) => {
    if (/content security policy|refused to/i.test(message.text())) wrong.push(message.text());
  });
});
afterAll(async () => {
  await browser.close();
  expect(await cluster.close()).toEqual([]);
});

/** What axe finds on the screen as it is now, one line for each offending element. */
const axe = async (): Promise<string[]> => {
  // As an expression of the debugger, which the page's policy does not govern: the policy stays in force for the page.
  await page.evaluate(AXE);
  const results = (await page.evaluate("axe.run(document, { resultTypes: ['violations'] })")) as {
    readonly violations: readonly { readonly id: string; readonly nodes: readonly { readonly html: string }[] }[];
  };
  return results.violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 200)}`));
};

const inEveryLook = async (): Promise<void> => {
  for (const colorScheme of ["light", "dark"] as const) {
    for (const viewport of [WIDE, NARROW]) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.setViewportSize(viewport);
      expect({ colorScheme, width: viewport.width, found: await axe() }).toEqual({
        colorScheme,
        width: viewport.width,
        found: [],
      });
    }
  }
  await page.setViewportSize(WIDE);
};

/** A mark that a reload would wipe away. */
const mark = () => page.evaluate("window.mark = true");
const isMarked = () => page.evaluate("window.mark === true");

const job = (name: string) => ({
  name,
  kind: "service",
  image: "builtin://busybox",
  replicas: 2,
  command: [
    "sh",
    "-c",
    "trap exit TERM; echo first line of $BERTH_TASK; n=0; while true; do n=$((n+1)); echo line $n; sleep 1 & wait $!; done",
  ],
  resources: { cpu: { request: "20m" }, memory: { request: "16Mi" } },
  timeouts: { stop: "2s" },
});

describe("signing in", () => {
  test("a browser without a session is told how to get one", async () => {
    await page.goto(`${cluster.apiUrl}/jobs`);
    await page.getByRole("heading", { name: "This browser is not signed in" }).waitFor();
    await inEveryLook();
  });

  test("the link that the start printed leads to the overview, with the host on it", async () => {
    await page.goto(await up.ready());
    await page.getByRole("heading", { name: /The host is ready|attention/ }).waitFor();
    await page.getByRole("main").getByRole("link", { name: host, exact: true }).first().waitFor();
    expect(new URL(page.url()).search).toBe("");
    await page.getByRole("status").getByText("live").waitFor();
    await inEveryLook();
  });

  test("the link works once, and a fresh one can be had", async () => {
    const again = await fetch(await up.ready(), { redirect: "manual" });
    expect(again.headers.get("set-cookie")).toBeNull();
    const link = /http\S+/.exec(await cluster.must(["dashboard"]))?.[0] ?? "";
    const fresh = await fetch(link, { redirect: "manual" });
    expect(fresh.headers.get("set-cookie")).toMatch(/HttpOnly.*SameSite=Strict|SameSite=Strict.*HttpOnly/i);
  });
});

describe("living with it", () => {
  test("a job that the command line submits appears by itself, and runs", async () => {
    await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Jobs" }).click();
    await page.getByRole("table", { name: "Jobs" }).waitFor();
    await mark();
    await cluster.must(["run", "--detach", "-"], { stdin: JSON.stringify(job("story")) });
    const row = page.getByRole("row").filter({ hasText: "story" });
    await row.getByText("2 running").waitFor();
    expect(await isMarked()).toBe(true);
    await inEveryLook();
  });

  test("from the job to a task to its output, which goes on while one reads", async () => {
    await page.getByRole("link", { name: "story", exact: true }).click();
    await page.getByRole("heading", { name: "story", level: 1 }).waitFor();
    await inEveryLook();
    await page.getByRole("link", { name: "story[1]" }).click();
    const log = page.getByRole("region", { name: "stdout of story[1]" });
    await log.getByText("first line of story[1]").waitFor();
    const lines = async (): Promise<number> => ((await log.textContent()) ?? "").split("line ").length;
    const before = await lines();
    await eventually("more lines", async () => (await lines()) > before);
    await inEveryLook();
    expect(await isMarked()).toBe(true);
  });

  test("a deep link shows the same after a reload", async () => {
    const address = page.url();
    await page.reload();
    await page.getByRole("region", { name: "stdout of story[1]" }).getByText("first line of story[1]").waitFor();
    expect(page.url()).toBe(address);
  });

  test("the hosts and one host", async () => {
    await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Hosts" }).click();
    await inEveryLook();
    await page.getByRole("main").getByRole("link", { name: host, exact: true }).first().click();
    await page.getByRole("heading", { level: 1 }).filter({ hasText: host }).waitFor();
    await inEveryLook();
  });

  test("a pull that somebody ordered is seen on its host, a bar for each layer, until it is done", async () => {
    const files = mkdtempSync("/tmp/berth-e2e-browser-");
    const registry = await startRegistry(join(files, "registry"));
    // So slow that there is time to look.
    const door = await breakingDoor(registry.host, 0, 0, 200);
    try {
      pushImage(files, `${registry.host}/slow:1`, {
        layers: [{ "bin/busybox": readFileSync("/bin/busybox") }, { "srv/large": randomBytes(4 * 2 ** 20) }],
      });
      await page.goto(`${cluster.apiUrl}/hosts/${host}`);
      const pulling = cluster.cli(["image", "pull", `oci://${door.host}/slow:1`], { timeoutMs: 120_000 });
      const section = page.getByRole("region", { name: "Pulling an image" });
      await section.getByRole("img", { name: /^layer [0-9a-f]{12}: fetching [\d.]+ [KM]iB of 4/ }).waitFor();
      await section.getByText(`oci://${door.host}/slow:1`).waitFor();
      await inEveryLook();
      expect((await pulling).code).toBe(0);
      await section.waitFor({ state: "detached" });
    } finally {
      await door.close();
      await registry.close();
      rmSync(files, { recursive: true, force: true });
    }
  });

  test("why something waits, with the host's name", async () => {
    const huge = { ...job("huge"), replicas: 1, resources: { cpu: { request: 900_000 }, memory: { request: "16Mi" } } };
    await cluster.submit(huge);
    await page.goto(`${cluster.apiUrl}/jobs/default/huge`);
    await page
      .getByRole("main")
      .getByText(new RegExp(`0 of 1 host.*${host}|${host}.*short`, "s"))
      .first()
      .waitFor();
    await inEveryLook();
    await cluster.must(["stop", "huge"]);
  });

  test("keys alone are enough to go around and to stop a job", async () => {
    await page.goto(`${cluster.apiUrl}/`);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await page.keyboard.press("g");
    await page.keyboard.press("j");
    await page.getByRole("table", { name: "Jobs" }).waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type("story");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "story", level: 1 }).waitFor();
    const stop = page.getByRole("button", { name: "Stop job" });
    await stop.focus();
    await page.keyboard.press("Enter");
    const dialog = page.getByRole("dialog", { name: "Stop default/story?" });
    await dialog.getByText("2 allocations").waitFor();
    await inEveryLook();
    await dialog.getByRole("button", { name: "Stop job" }).focus();
    await page.keyboard.press("Enter");
    await dialog.waitFor({ state: "detached" });
    await eventually("it is stopped", async () => (await cluster.job("story")).state === "stopped");
    await page.getByRole("main").getByText("2 stopped").first().waitFor();
  });
});

test("the scheduler dies: the page says so, keeps what it has, and goes on by itself", async () => {
  await page.goto(`${cluster.apiUrl}/jobs`);
  await page.getByRole("table", { name: "Jobs" }).waitFor();
  await mark();
  const [scheduler] = cluster.daemons().scheduler;
  if (scheduler === undefined) throw new Error("no scheduler");
  kill(scheduler.pid, "SIGKILL");
  await page.getByRole("status").getByText("reconnecting").waitFor();
  expect(await page.getByRole("table", { name: "Jobs" }).isVisible()).toBe(true);
  await page
    .getByRole("status")
    .getByText(/^live$/)
    .waitFor({ timeout: 60_000 });
  await eventually("the API is back", () =>
    cluster.submit({ ...job("afterwards"), replicas: 1 }).catch(() => undefined),
  );
  await page.getByRole("row").filter({ hasText: "afterwards" }).getByText("1 running").waitFor();
  expect(await isMarked()).toBe(true);
});

test("all the while nothing was asked of anybody else, and nothing went wrong", () => {
  expect(foreign).toEqual([]);
  expect(wrong).toEqual([]);
});
