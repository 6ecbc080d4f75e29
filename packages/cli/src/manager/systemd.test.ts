/** The unit says what keeps containers alive, and odd paths stay one word each. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { hasSystemd, renderUnit } from "./systemd.ts";

const text = renderUnit({
  host: "web-1",
  cluster: "berth",
  command: ["/usr/bin/env", "/opt/a b/100%/$x/main.js", "--joined", '/var/lib/"q"'],
});

test("containers are none of the service", () => {
  for (const line of [
    "Delegate=yes",
    "KillMode=process",
    "OOMScoreAdjust=-900",
    "Restart=always",
    "TasksMax=infinity",
  ]) {
    expect(text.split("\n")).toContain(line);
  }
  expect(text).toContain('ExecStart="/usr/bin/env" "/opt/a b/100%%/$$x/main.js" "--joined" "/var/lib/\\"q\\""');
});

test.skipIf(spawnSync("systemd-analyze", ["--version"]).error !== undefined)("systemd takes it", () => {
  const directory = mkdtempSync(join(tmpdir(), "berth-unit-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, "berth-agent.service");
  writeFileSync(path, text);
  expect(
    execFileSync("systemd-analyze", ["verify", "--man=no", path], { encoding: "utf8", stdio: "pipe" }),
  ).not.toContain(path);
});

test("systemd is there exactly when it runs", () => {
  const root = `${mkdtempSync(join(tmpdir(), "berth-root-"))}/`;
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  expect(hasSystemd(root)).toBe(false);
  mkdirSync(join(root, "run/systemd/system"), { recursive: true });
  expect(hasSystemd(root)).toBe(true);
});
