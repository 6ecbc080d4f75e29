/** Debian's chromium, and the checks that every screen must pass whatever it shows. */
import { createRequire } from "node:module";
import { chromium, type Browser, type Page } from "playwright-core";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

export const launchBrowser = (): Promise<Browser> =>
  chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
  });

export interface OpenedPage {
  readonly page: Page;
  /** Everything that must not happen: foreign requests, refusals by the content security policy, errors. */
  readonly troubles: string[];
}

export const openPage = async (
  browser: Browser,
  url: string,
  options: {
    readonly width?: number;
    readonly height?: number;
    readonly dark?: boolean;
    readonly reducedMotion?: boolean;
    readonly forcedColors?: boolean;
  } = {},
): Promise<OpenedPage> => {
  const context = await browser.newContext({
    viewport: { width: options.width ?? 1280, height: options.height ?? 860 },
    colorScheme: options.dark === true ? "dark" : "light",
    reducedMotion: options.reducedMotion === true ? "reduce" : "no-preference",
    forcedColors: options.forcedColors === true ? "active" : "none",
  });
  const page = await context.newPage();
  const troubles: string[] = [];
  const { origin } = new URL(url);
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== origin) troubles.push(`foreign request: ${request.url()}`);
  });
  page.on("console", (message) => {
    if (message.type() === "error") troubles.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => troubles.push(`error: ${error.message}`));
  await page.goto(url);
  return { page, troubles };
};

interface AxeResult {
  readonly violations: readonly {
    readonly id: string;
    readonly help: string;
    readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[];
  }[];
}

/** One line for each violation of axe-core's rules. Injected through the debugger, where the page's policy does not apply. */
export const accessibilityViolations = async (page: Page): Promise<string[]> => {
  const { readFile } = await import("node:fs/promises");
  await page.evaluate(await readFile(AXE, "utf8"));
  const result = (await page.evaluate("axe.run(document, { resultTypes: ['violations'] })")) as AxeResult;
  return result.violations.flatMap((violation) =>
    violation.nodes.map(
      (node) =>
        `${violation.id}: ${violation.help}: ${node.html.slice(0, 200)} (${node.failureSummary.replaceAll(/\s+/g, " ")})`,
    ),
  );
};

/** How far the page is wider than the window: 0 when nothing has to be scrolled sideways. */
export const sidewaysOverflow = (page: Page): Promise<number> =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
