import { describe, expect, test } from "vitest";

import { parseAllowedPath, refuseHostPath } from "./host-paths.ts";

const unwrapAllowed = (text: string) => {
  const parsed = parseAllowedPath(text);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value;
};

describe("what a host lets jobs mount", () => {
  const allowed = ["/usr/share:ro", "/srv/media", "photos=/srv/photos"].map(unwrapAllowed);
  const ask = (project: string, source: string, readOnly = false) =>
    refuseHostPath(allowed, project, { source, readOnly });

  test("is nothing unless it says so", () => {
    expect(refuseHostPath([], "default", { source: "/usr/share", readOnly: true })).toContain("--host-path");
  });

  test("is a path and all below it, and nothing that only begins alike", () => {
    expect(ask("default", "/srv/media")).toBeUndefined();
    expect(ask("default", "/srv/media/a/b")).toBeUndefined();
    expect(ask("default", "/srv/media2")).toContain("lets project default mount no path like /srv/media2");
    expect(ask("default", "/srv")).toBeDefined();
    expect(ask("default", "/srv/media/../../etc")).toContain("is not a plain path");
  });

  test("may be for reading alone, or for one project alone", () => {
    expect(ask("default", "/usr/share/doc", true)).toBeUndefined();
    expect(ask("default", "/usr/share/doc")).toContain("readOnly: true");
    expect(ask("photos", "/srv/photos/2026")).toBeUndefined();
    expect(ask("default", "/srv/photos/2026")).toBeDefined();
  });

  test.each(["srv", "", "/srv/../etc", "=/srv", "UPPER=/srv", "/srv//x", "a b=/srv", "/srv/:ro"])(
    "%j is refused",
    (text) => {
      expect(parseAllowedPath(text)).toMatchObject({ ok: false });
    },
  );

  test("the root may be all of it", () => {
    expect(refuseHostPath([unwrapAllowed("/")], "p", { source: "/etc", readOnly: false })).toBeUndefined();
  });
});
