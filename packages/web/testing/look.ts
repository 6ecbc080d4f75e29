/**
 * `pnpm --filter @berth/web look [directory]`: draws every screen in light and dark, wide and narrow, from a made-up
 * cluster, and reports what axe-core, the content security policy or a sideways scroll bar find wrong.
 * `… look serve` keeps the made-up cluster running for a look by hand.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { accessibilityViolations, launchBrowser, openPage, sidewaysOverflow } from "./browser.ts";
import { busySnapshot, emptySnapshot, troubledSnapshot } from "./cluster.ts";
import { startFakeServer, type FakeServer } from "./fake-server.ts";
import { screensOf } from "./screens.ts";

const say = (line: string): void => void process.stdout.write(`${line}\n`);

const LOG_LINES = Array.from({ length: 240 }, (_, at) => {
  const seconds = String(at % 60).padStart(2, "0");
  return at % 17 === 0
    ? `2026-03-03T14:0${Math.floor(at / 60)}:${seconds}Z \u001b[33mWARN\u001b[0m  shard 20: IMG_${4200 + at}.jpg has no colour profile, assuming sRGB; the thumbnail may look different from the original`
    : `2026-03-03T14:0${Math.floor(at / 60)}:${seconds}Z INFO  shard 20: IMG_${4200 + at}.jpg 6000x4000 -> 480x320 in ${30 + ((at * 7) % 23)} ms`;
}).join("\n");

const SIZES = [
  { name: "wide", width: 1280 },
  { name: "narrow", width: 320 },
] as const;

const shoot = async (
  server: FakeServer,
  prefix: string,
  screens: Readonly<Record<string, string>>,
  directory: string,
  only: string,
): Promise<number> => {
  const browser = await launchBrowser();
  let wrong = 0;
  try {
    for (const [name, path] of Object.entries(screens)) {
      if (!`${prefix}${name}`.includes(only)) continue;
      for (const { name: size, width } of SIZES) {
        for (const dark of [false, true]) {
          const { page, troubles } = await openPage(browser, server.url + path, { width, dark });
          await page.waitForSelector("h1");
          await page.waitForTimeout(500);
          const overflow = await sidewaysOverflow(page);
          const violations = [
            ...(await accessibilityViolations(page)),
            ...troubles.filter((trouble) => !(prefix === "signed-out-" && /401|WebSocket/.test(trouble))),
            ...(overflow > 0 ? [`${overflow} px wider than the window`] : []),
          ];
          await page.screenshot({
            path: join(directory, `${prefix}${name}.${size}.${dark ? "dark" : "light"}.png`),
            fullPage: true,
          });
          for (const violation of violations) say(`${prefix}${name} ${size} ${dark ? "dark" : "light"}: ${violation}`);
          wrong += violations.length;
          await page.context().close();
        }
      }
    }
  } finally {
    await browser.close();
  }
  return wrong;
};

const main = async (directory: string, only: string): Promise<void> => {
  await mkdir(directory, { recursive: true });
  const busy = busySnapshot(Date.now());
  const server = await startFakeServer(busy);
  server.write(LOG_LINES);
  let wrong = 0;
  try {
    wrong += await shoot(server, "", screensOf(busy), directory, only);
    server.setSnapshot(troubledSnapshot(Date.now()));
    wrong += await shoot(server, "troubled-", { overview: "/", hosts: "/hosts" }, directory, only);
    server.setSnapshot(emptySnapshot());
    wrong += await shoot(server, "empty-", { overview: "/", hosts: "/hosts", jobs: "/jobs" }, directory, only);
    server.setSignedIn(false);
    wrong += await shoot(server, "signed-out-", { overview: "/" }, directory, only);
  } finally {
    await server.close();
  }
  say(wrong === 0 ? `nothing wrong; pictures in ${directory}` : `${wrong} findings; pictures in ${directory}`);
  process.exitCode = wrong === 0 ? 0 : 1;
};

const serve = async (): Promise<void> => {
  const server = await startFakeServer(busySnapshot(Date.now()), 4790);
  server.write(LOG_LINES);
  let line = 0;
  setInterval(() => server.write(`\n${new Date().toISOString()} INFO  line ${(line += 1)}`), 400);
  setInterval(() => server.push({ kind: "ping" }), 10_000);
  say(`${server.url} until Ctrl-C`);
};

const [directory = "/tmp/berth-look", only = ""] = process.argv.slice(2);
await (directory === "serve" ? serve() : main(directory, only));
