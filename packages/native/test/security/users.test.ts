/** Rule 19: a user is a name of the image or a number, and nothing that merely looks like one. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { testHost } from "../host.ts";

const host = testHost();
const layer = join(host.directory, "names");

beforeAll(() => {
  mkdirSync(join(layer, "etc"), { recursive: true });
  /* An image that would like to be asked for these. */
  const traps = ["-1", "+0", "4294967296", "4294967295", "0x0", "", " ", "00", "1e3"];
  writeFileSync(join(layer, "etc/passwd"), `root:x:0:0::/:\n${traps.map((name) => `${name}:x:0:0::/:\n`).join("")}`);
  writeFileSync(join(layer, "etc/group"), `root:x:0:\n${traps.map((name) => `${name}:x:0:\n`).join("")}`);
});

test.each([
  "1000:",
  ":0",
  ":",
  "+0",
  "-0",
  "-1",
  " 0",
  "0 ",
  "0\n",
  "0\0",
  "00",
  "007",
  "0x0",
  "1e3",
  "0.0",
  "4294967295",
  "4294967296",
  "4294967297",
  "18446744073709551616",
  "0:0:0",
  "0:-1",
  "0:+0",
  "0:4294967296",
  "root:",
  "root:0x0",
  "\u0660",
  "",
])("the user %j is refused", async (user) => {
  const result = await host.runtime.start(host.spec(["true"], { user, layers: [layer, host.image] }));
  if (result.ok) await result.value.stop({ signal: 9, graceMs: 0 });
  expect(result).toMatchObject({ ok: false, error: { stage: expect.stringMatching(/^(spec|user)$/) as string } });
});

test.each(["-1", "+0", "4294967296", " 0", ""])("the group %j is refused", async (group) => {
  const result = await host.runtime.start(host.spec(["true"], { groups: [group], layers: [layer, host.image] }));
  if (result.ok) await result.value.stop({ signal: 9, graceMs: 0 });
  expect(result).toMatchObject({ ok: false, error: { stage: expect.stringMatching(/^(spec|user)$/) as string } });
});
