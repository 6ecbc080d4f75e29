import { expect, test } from "vitest";
import { debianMirrors, parseAptSources } from "./apt-sources.ts";

const from = (name: string, text: string) => debianMirrors(parseAptSources([{ name, text }]));

test("lines, with and without options", () => {
  const text = `
# deb http://commented.example/debian bookworm main
deb-src http://source.example/debian bookworm main
deb [arch=amd64 signed-by=/x.gpg] http://vendor.example/apt stable vendor
deb [signed-by=/y.gpg] http://mirror.example/debian bookworm main contrib # near
deb http://security.example/debian-security bookworm-security main
`;
  expect(from("sources.list", text)).toEqual({
    mirror: "http://mirror.example/debian",
    securityMirror: "http://security.example/debian-security",
  });
});

test("stanzas, with folded fields, comments and ones that are switched off", () => {
  const text = `Types: deb
URIs: http://off.example/debian
Suites: trixie
Components: main
Enabled: no

# the near one
Types: deb deb-src
URIs: http://one.example/debian
# in between
 http://two.example/debian
Suites: trixie trixie-updates
Components: main
 contrib
`;
  expect(parseAptSources([{ name: "debian.sources", text }]).map(({ uri }) => uri)).toEqual([
    "http://one.example/debian",
    "http://two.example/debian",
  ]);
  expect(from("debian.sources", text)).toEqual({ mirror: "http://one.example/debian", securityMirror: undefined });
});

test("a host of another distribution has no mirror of Debian", () => {
  expect(from("sources.list", "deb http://archive.example/ubuntu noble main universe\n")).toBeUndefined();
  expect(from("sources.list", "")).toBeUndefined();
});
