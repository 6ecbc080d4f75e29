import { describe, expect, it } from "vitest";
import { formatAge, formatAmount, formatCommand, formatCpuUsed, formatRatio, plural, shortId } from "./format.ts";

describe("texts", () => {
  it.each([
    [0, "0 %"],
    [0.004, "< 1 %"],
    [0.125, "13 %"],
    [0.994, "> 99 %"],
    [1, "100 %"],
    [1.2, "120 %"],
  ])("a ratio of %d is %s", (ratio, text) => expect(formatRatio(ratio)).toBe(text));

  it.each([
    [-5_000, "now"],
    [999, "now"],
    [59_999, "59s"],
    [61_000, "1m"],
    [3_600_000, "1h"],
    [200_000_000, "2d"],
  ])("an age of %d ms is %s", (ms, text) => expect(formatAge(ms)).toBe(text));

  it("amounts carry their unit", () => {
    expect(formatAmount("cpuMillis", 1_500)).toBe("1.5 CPU");
    expect(formatAmount("memoryBytes", 3 * 1024 ** 3)).toBe("3 GiB");
    expect(formatAmount("pids", 1)).toBe("1 process");
  });

  it("measured CPU use has no noise", () => {
    expect([formatCpuUsed(0), formatCpuUsed(3), formatCpuUsed(7), formatCpuUsed(1_234), formatCpuUsed(15_432)]).toEqual(
      ["0", "< 0.01", "0.01", "1.23", "15.4"],
    );
  });

  it("numbers of things agree with their noun", () => {
    expect([plural(0, "host"), plural(1, "host"), plural(12_345, "host"), plural(2, "process", "processes")]).toEqual([
      "0 hosts",
      "1 host",
      "12,345 hosts",
      "2 processes",
    ]);
  });

  it("a long id keeps its kind and its end", () => {
    expect(shortId("alloc_01k3xq7v9m2c4h5j6n8t000abc")).toBe("alloc_01k3…0abc");
    expect(shortId("short")).toBe("short");
  });

  it("a command reads as one would type it", () => {
    expect(formatCommand(["sh", "-c", "echo 'hi there'", "${INDEX}", ""])).toBe(
      "sh -c 'echo '\\''hi there'\\''' ${INDEX} ''",
    );
  });
});
