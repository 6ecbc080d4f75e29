/** What the kernel says about mounts is read whatever it holds: names with any byte, lines cut short, nothing at all. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { readCgroupLayout } from "./cgroup-layout.ts";

const escaped = (path: string): string =>
  path.replace(/[ \t\n\\]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}`);
const reading = (mountinfo: string) => (path: string) =>
  path === "/proc/self/mountinfo" ? mountinfo : "cpuset cpu io memory pids\n";

test("a v2 hierarchy is found under any name", () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 40 }), (name) => {
      const path = `/${name}`;
      const line = `35 25 0:31 / ${escaped(path)} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n`;
      const layout = readCgroupLayout(reading(line));
      expect(layout.kind).toBe("v2");
      expect(layout.hierarchies.map((hierarchy) => hierarchy.path)).toEqual([path]);
    }),
  );
});

test("any text gives a layout that says what is missing", () => {
  const word = fc.constantFrom("cgroup", "cgroup2", "-", "rw", "/a", "cpu,memory", "\\040", "\n", " ", "35", "\\");
  const text = fc.oneof(
    fc.string(),
    fc.array(word, { maxLength: 60 }).map((words) => words.join(" ")),
  );
  fc.assert(
    fc.property(text, (mountinfo) => {
      const { hierarchies, missing } = readCgroupLayout(reading(mountinfo));
      expect(hierarchies.length + missing.length).toBeGreaterThan(0);
    }),
  );
});
