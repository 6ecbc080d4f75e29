import { describe, expect, test } from "vitest";
import { buildProgram, runProgram } from "../program.ts";
import { fakeIo } from "../testing/fake-io.ts";
import { completions, SHELLS, type NameKind } from "./completion.ts";

const asked: [NameKind, string][] = [];
const complete = (...words: string[]) => {
  asked.length = 0;
  const program = buildProgram({ io: fakeIo(), finish: () => undefined });
  return completions(program, words, async (kind, prefix) => {
    asked.push([kind, prefix]);
    return [`some-${kind}`];
  });
};

describe("completion", () => {
  test("of the first word is the verbs, without hidden ones", async () => {
    const words = await complete("");
    expect(words).toEqual(expect.arrayContaining(["up", "run", "why", "help"]));
    expect(words.filter((word) => word.startsWith("_"))).toEqual([]);
  });

  test("of a dash is the verb's flags", async () => {
    expect(await complete("logs", "-")).toEqual(expect.arrayContaining(["--follow", "--stderr", "--help"]));
  });

  test.each<[string[], NameKind]>([
    [["logs", "he"], "task"],
    [["logs", "-f", "he"], "task"],
    [["logs", "--attempt", "2", "he"], "task"],
    [["stop", ""], "job"],
    [["job", "-o", "json", ""], "job"],
    [["run", "exam"], "file"],
    [["ps", "--host", ""], "host"],
    [["outputs", "x", "--to", ""], "dir"],
  ])("of %j is names of a kind", async (words, kind) => {
    expect(await complete(...words)).toEqual([`some-${kind}`]);
    expect(asked).toEqual([[kind, words.at(-1)]]);
  });

  test("of a choice is the choices", async () => {
    expect(await complete("jobs", "-o", "")).toEqual(["table", "wide", "json", "yaml", "name"]);
    expect(await complete("completion", "")).toEqual([...SHELLS]);
  });

  test("is nothing where nothing fits", async () => {
    expect(await complete("jobs", "")).toEqual([]);
    expect(await complete("nonsense", "")).toEqual([]);
    expect(await complete("run", "--timeout", "")).toEqual([]);
    expect(await complete("run", "a.yaml", "")).toEqual([]);
  });

  test("asks a cluster that is not there in vain, quietly", async () => {
    const io = fakeIo({ env: { BERTH_API: "http://127.0.0.1:1", BERTH_TOKEN: "x" } });
    expect(await runProgram(io, ["__complete", "--", "stop", ""])).toBe(0);
    expect(io.text() + io.errText()).toBe("");
  });

  test.each(SHELLS)("has a script for %s", async (shell) => {
    const io = fakeIo();
    expect(await runProgram(io, ["completion", shell])).toBe(0);
    expect(io.text()).toContain("berth __complete -- ");
  });
});
