/**
 * The built dashboard in a real browser against a made-up cluster: what a person relies on while the cluster changes,
 * the line breaks, or the session ends. Needs packages/web/dist (`pnpm build:web`) and Debian's chromium.
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { accessibilityViolations, launchBrowser, openPage, sidewaysOverflow } from "../testing/browser.ts";
import {
  busySnapshot,
  emptySnapshot,
  largeSnapshot,
  makeAllocation,
  makeHost,
  troubledSnapshot,
  type Delta,
} from "../testing/cluster.ts";
import { startFakeServer, type FakeServer } from "../testing/fake-server.ts";
import { screensOf } from "../testing/screens.ts";

let browser: Browser;
let server: FakeServer;

beforeAll(async () => {
  const index = fileURLToPath(new URL("../dist/index.html", import.meta.url));
  if (!existsSync(index)) throw new Error("the dashboard is not built: run pnpm build:web first");
  browser = await launchBrowser();
});
afterAll(() => browser.close());
beforeEach(async () => {
  server = await startFakeServer(busySnapshot(Date.now()));
});
afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
  await server.close();
});

const emptyDelta = (more: Partial<Delta> = {}): Delta => {
  const { revision } = server.snapshot();
  return {
    kind: "delta",
    previous: revision,
    revision: revision + 1,
    hosts: [],
    jobs: [],
    allocations: [],
    removed: { hosts: [], jobs: [], allocations: [] },
    ...more,
  };
};
const jobNamed = (name: string) => {
  const job = server.snapshot().jobs.find((each) => each.name === name);
  if (job === undefined) throw new Error(`no job ${name} in the snapshot`);
  return job;
};
/** Patient: the machine may be busy, and how long it takes is not the question. */
const eventually = <T>(read: () => T) => expect.poll(read, { timeout: 30_000 });
const heading = (page: Page) => page.locator("h1");
const shows = (page: Page, text: string | RegExp): Promise<void> => page.getByText(text).first().waitFor();

describe("the live view", () => {
  it("shows a host that joins an empty cluster without a reload", async () => {
    server.setSnapshot(emptySnapshot());
    const { page } = await openPage(browser, server.url);
    await shows(page, "Waiting for the first host");
    server.push({ ...emptyDelta(), hosts: [makeHost("first", 4, 8)] });
    await shows(page, "The host is ready");
    await page.locator("main").getByRole("link", { name: "first", exact: true }).first().waitFor();
  });

  it("keeps its picture while the line is cut, says how old it is, and resumes where it was", async () => {
    const { page } = await openPage(browser, `${server.url}/jobs`);
    await shows(page, "live");
    const delta = emptyDelta({ jobs: [{ ...jobNamed("api"), state: "stopping" }] });
    server.push(delta);
    await page.getByRole("row", { name: /api/ }).getByText("stopping").waitFor();
    server.cut(true);
    await shows(page, "reconnecting");
    await shows(page, /data is \d+s old/);
    expect(await page.getByRole("row").count()).toBe(server.snapshot().jobs.length + 1);
    server.push({
      ...delta,
      previous: delta.revision,
      revision: delta.revision + 1,
      jobs: [{ ...jobNamed("api"), state: "stopped" }],
    });
    await page.getByRole("button", { name: "Try now" }).click();
    await shows(page, "reconnecting");
    server.cut(false);
    await page.getByRole("row", { name: /api/ }).getByText("stopped").waitFor();
    await page.getByText("live", { exact: true }).waitFor();
    expect(server.opened.at(-1)).toBe(delta.revision);
  });

  it("asks again when a delta does not continue what it holds", async () => {
    const { page } = await openPage(browser, `${server.url}/jobs`);
    await shows(page, "live");
    const { revision } = server.snapshot();
    const broken = emptyDelta({
      previous: revision + 5,
      revision: revision + 6,
      jobs: [{ ...jobNamed("api"), state: "failed" }],
    });
    const next = {
      ...server.snapshot(),
      revision: revision + 6,
      jobs: [{ ...jobNamed("api"), state: "stopped" as const }],
    };
    server.push(broken);
    server.setSnapshot(next);
    await page.getByRole("row", { name: /api/ }).getByText("stopped").waitFor();
    expect(server.opened).toEqual([undefined, revision]);
  });

  it("says how to sign in when the session ends, and comes back by itself", async () => {
    const { page } = await openPage(browser, `${server.url}/hosts/pike`);
    await shows(page, "live");
    server.setSignedIn(false);
    server.cut(false);
    await shows(page, "This browser is not signed in");
    await shows(page, "npx berth dashboard");
    server.setSignedIn(true);
    await page.evaluate(() => dispatchEvent(new Event("focus")));
    await page.getByRole("heading", { level: 1, name: "pike" }).waitFor();
  });

  it("draws a large cluster", async () => {
    server.setSnapshot(largeSnapshot(Date.now(), 200, 20));
    const { page, troubles } = await openPage(browser, `${server.url}/hosts`);
    await shows(page, "All 200 hosts are ready");
    await page.getByRole("button", { name: "Show 100 more" }).click();
    expect(await page.locator(".host-row").count()).toBe(200);
    expect(troubles).toEqual([]);
  });
});

describe("addresses", () => {
  it("lead to the same view after a reload, and back and forward work", async () => {
    const { page } = await openPage(browser, server.url);
    await page.getByRole("link", { name: "Jobs" }).first().click();
    await page.getByRole("searchbox").fill("media");
    await page.getByRole("link", { name: "thumbs" }).click();
    await eventually(() => heading(page).textContent()).toBe("thumbs");
    await page.reload();
    await eventually(() => heading(page).textContent()).toBe("thumbs");
    await page.goBack();
    await eventually(() => page.getByRole("searchbox").inputValue()).toBe("media");
    expect(await page.getByRole("row").count()).toBe(2);
    await page.goForward();
    await eventually(() => heading(page).textContent()).toBe("thumbs");
    expect(await page.title()).toBe("thumbs · Berth");
  });
});

describe("the keyboard", () => {
  it("reaches everything: skip link, sections, filter, rows, help", async () => {
    const { page } = await openPage(browser, server.url);
    await shows(page, "live");
    await page.keyboard.press("Tab");
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Skip to content");
    await page.keyboard.press("Enter");
    expect(await page.evaluate(() => document.activeElement?.id)).toBe("main");
    await page.keyboard.press("g");
    await page.keyboard.press("j");
    await shows(page, /jobs are active/);
    await page.keyboard.press("/");
    await page.keyboard.type("thumbs");
    expect(new URL(page.url()).search).toBe("?q=thumbs");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Enter");
    await eventually(() => heading(page).textContent()).toBe("thumbs");
    expect(await page.evaluate(() => document.activeElement?.tagName)).toBe("H1");
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keyboard" }).waitFor();
    expect(await accessibilityViolations(page)).toEqual([]);
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.keyboard.press("g");
    await page.keyboard.press("h");
    await shows(page, "All 3 hosts are ready");
  });

  it("can have its single keys switched off", async () => {
    const { page } = await openPage(browser, server.url);
    await page.getByRole("button", { name: "Keyboard shortcuts" }).click();
    await page.getByRole("checkbox").uncheck();
    await page.getByRole("button", { name: "Close" }).click();
    await page.keyboard.press("g");
    await page.keyboard.press("j");
    await page.reload();
    await shows(page, "live");
    await page.keyboard.press("?");
    expect(new URL(page.url()).pathname).toBe("/");
    expect(await page.getByRole("dialog").count()).toBe(0);
  });
});

describe("stopping a job", () => {
  it("asks with the consequence in numbers, and does it only then", async () => {
    const { page } = await openPage(browser, `${server.url}/jobs/media/thumbs`);
    const stop = page.getByRole("button", { name: "Stop job" });
    await stop.click();
    const dialog = page.getByRole("dialog", { name: "Stop media/thumbs?" });
    await dialog.getByText("12 allocations").waitFor();
    await dialog.getByText("8 tasks").waitFor();
    expect(await accessibilityViolations(page)).toEqual([]);
    await dialog.getByRole("button", { name: "Keep it running" }).click();
    expect(server.stops).toEqual([]);
    await stop.click();
    await dialog.getByRole("button", { name: "Stop job" }).click();
    await dialog.waitFor({ state: "detached" });
    expect(server.stops).toEqual(["media/thumbs"]);
  });

  it("is not offered to a token that the API says may not", async () => {
    const one = { name: "ann", id: null, role: "viewer", projects: null, via: "session", expiresAtMs: null } as const;
    server.setSelf({ ...one, may: [] });
    const { page } = await openPage(browser, `${server.url}/jobs/media/thumbs`);
    const stop = page.getByRole("button", { name: "Stop job (ann has the role viewer, which may not do this)" });
    await stop.waitFor();
    expect(await stop.getAttribute("aria-disabled")).toBe("true");
    await stop.click({ force: true });
    expect(await page.getByRole("dialog").count()).toBe(0);
    expect(await accessibilityViolations(page)).toEqual([]);
  });

  it("is refused with a reason for a job that is over", async () => {
    const { page } = await openPage(browser, `${server.url}/jobs/ops/checksums`);
    const stop = page.getByRole("button", { name: "Stop job (The job has finished)" });
    expect(await stop.getAttribute("aria-disabled")).toBe("true");
    await stop.click({ force: true });
    expect(await page.getByRole("dialog").count()).toBe(0);
  });
});

describe("output", () => {
  const allocation = (): string => {
    const found = server.snapshot().allocations.find((each) => each.job === "thumbs" && each.state === "running");
    if (found === undefined) throw new Error("no running allocation in the snapshot");
    return `${server.url}/allocations/${found.id}`;
  };
  const numbered = (from: number, count: number): string =>
    Array.from({ length: count }, (_, at) => `line ${from + at}\n`).join("");

  it("follows the end, stays where the reader went, and says what came since", async () => {
    server.write(numbered(0, 200));
    const { page } = await openPage(browser, allocation());
    const scroller = page.locator(".log-scroller");
    await shows(page, "line 199");
    server.write(numbered(200, 50));
    await shows(page, "line 249");
    const fromEnd = () => scroller.evaluate((box) => Math.round(box.scrollHeight - box.scrollTop - box.clientHeight));
    await eventually(fromEnd).toBe(0);

    await scroller.evaluate((box) => box.scrollBy({ top: -600, behavior: "instant" }));
    await page.getByRole("button", { name: /To the end/ }).waitFor();
    const top = await scroller.evaluate((box) => box.scrollTop);
    server.write(numbered(250, 30));
    await page.getByRole("button", { name: "30 new lines" }).waitFor();
    expect(await scroller.evaluate((box) => box.scrollTop)).toBe(top);
    await page.getByRole("button", { name: "30 new lines" }).click();
    await eventually(fromEnd).toBe(0);
    server.write(numbered(280, 5));
    await shows(page, "line 284");
    await eventually(fromEnd).toBe(0);
  });

  it("is bounded and never becomes markup", async () => {
    server.write(
      `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>\n${numbered(0, 200)}`,
    );
    const { page, troubles } = await openPage(browser, allocation());
    await shows(page, "line 199");
    expect(await page.locator(".log img, .log script").count()).toBe(0);
    await shows(page, "<img src=x onerror");
    server.write(numbered(200, 9_000));
    await shows(page, "line 9199");
    expect(await page.locator(".log-line").count()).toBeLessThanOrEqual(5_000);
    await shows(page, /earlier lines not shown/);
    expect(await page.title()).toBe("thumbs[20] · Berth");
    expect(troubles).toEqual([]);
  });
});

describe("the theme", () => {
  it("is the system's until somebody chooses, and then stays", async () => {
    const { page } = await openPage(browser, server.url, { dark: true });
    const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    const dark = await background();
    await page.getByRole("radio", { name: "light" }).check({ force: true });
    const light = await background();
    expect(light).not.toBe(dark);
    await page.reload();
    expect(await background()).toBe(light);
    await page.getByRole("radio", { name: "system" }).check({ force: true });
    await page.reload();
    expect(await background()).toBe(dark);
  });
});

// Method: axe-core's rules in the page, plus what the policy refused, what was asked of other hosts, and the page's width.
describe("every screen", () => {
  const ALL = Object.keys(screensOf(busySnapshot(0)));
  const LISTS = ["overview", "hosts", "jobs"];
  const cases = [
    { of: "busy", snapshot: busySnapshot, view: "light and wide", options: { width: 1280 }, screens: ALL },
    {
      of: "busy",
      snapshot: busySnapshot,
      view: "dark and 320 px narrow",
      options: { width: 320, dark: true },
      screens: ALL,
    },
    {
      of: "troubled",
      snapshot: troubledSnapshot,
      view: "dark and wide",
      options: { dark: true },
      screens: ["overview", "hosts"],
    },
    { of: "empty", snapshot: () => emptySnapshot(), view: "light and narrow", options: { width: 320 }, screens: LISTS },
    {
      of: "busy",
      snapshot: busySnapshot,
      view: "in forced colours with reduced motion",
      options: { width: 900, forcedColors: true, reducedMotion: true },
      screens: ["overview", "job-failed"],
    },
  ] as const;
  for (const { of, snapshot, view, options, screens } of cases) {
    it(`of the ${of} cluster is accessible and asks nobody else, ${view}`, { timeout: 180_000 }, async () => {
      const made = snapshot(Date.now());
      const paths = of === "empty" ? { overview: "/", hosts: "/hosts", jobs: "/jobs" } : screensOf(made);
      server.setSnapshot(made);
      server.write("one line\n");
      const { page, troubles } = await openPage(browser, server.url, options);
      for (const [screen, path] of Object.entries(paths).filter(([name]) =>
        (screens as readonly string[]).includes(name),
      )) {
        await page.goto(server.url + path);
        await page.getByRole("status").filter({ hasText: "live" }).first().waitFor({ state: "attached" });
        const findings = [...(await accessibilityViolations(page)), ...troubles];
        expect({ screen, findings, sideways: await sidewaysOverflow(page) }).toEqual({
          screen,
          findings: [],
          sideways: 0,
        });
      }
    });
  }

  it("shows a reason that is newer than this program as it is", async () => {
    const job = jobNamed("api");
    const strange = makeAllocation(900, job, 0, "pike", { reason: "some_new_reason" });
    server.push(emptyDelta({ allocations: [strange] }));
    const { page } = await openPage(browser, `${server.url}/allocations/${strange.id}`);
    await shows(page, "some_new_reason");
  });
});
