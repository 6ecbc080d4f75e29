import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  formatBits,
  formatByUnit,
  formatBytes,
  formatCpu,
  formatDuration,
  parseBits,
  parseBytes,
  parseCpuMillis,
  parseDurationMs,
} from "./units.ts";

const value = <T>(
  result: { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: string },
): T => {
  if (!result.ok) throw new Error(result.error);
  return result.value;
};

describe("bandwidths", () => {
  test.each([
    ["100M", 100_000_000],
    ["2.5 Gbit/s", 2_500_000_000],
    ["64kbit", 64_000],
    [1_000, 1_000],
    ["0.0001k", 1],
    ["1.1G", 1_100_000_000],
    ["67.4T", 67_400_000_000_000],
  ])("%s are %i bits per second", (text, bits) => expect(value(parseBits(text))).toBe(bits));

  test.each(["", "M", "1Mi", "1MB", "1m", "1K", "1g", "-1", "1e9", "0x10", "9999999T", -1, Number.NaN, 1e300])(
    "%s is refused",
    (text) => expect(parseBits(text)).toMatchObject({ ok: false }),
  );

  test.each([
    [0, "0 bit/s"],
    [999, "999 bit/s"],
    [1_000, "1 kbit/s"],
    [100_000_000, "100 Mbit/s"],
    [2_500_000_000, "2.5 Gbit/s"],
    [400e12, "400 Tbit/s"],
  ])("%i is written %s", (bits, text) => expect(formatBits(bits)).toBe(text));

  test("what is written of three digits is read back exactly", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 999 }), fc.integer({ min: 0, max: 12 }), (digits, zeros) => {
        const bits = digits * 10 ** zeros;
        expect(value(parseBits(formatBits(bits)))).toBe(bits);
      }),
    );
  });

  test("the end of a dimension's name is its unit", () => {
    expect([formatByUnit("netEgressBits", 1e9), formatByUnit("diskBytes", 1024), formatByUnit("gpu", 2)]).toEqual([
      "1 Gbit/s",
      "1 KiB",
      undefined,
    ]);
  });
});

describe("sizes", () => {
  test.each([
    ["256Mi", 268_435_456],
    ["1.5Gi", 1_610_612_736],
    ["80MB", 80_000_000],
    ["80M", 80_000_000],
    ["1KiB", 1024],
    ["0", 0],
    [" 7 B ", 7],
    [4096, 4096],
    ["0.3", 1],
  ])("%s is %i bytes", (text, bytes) => expect(value(parseBytes(text))).toBe(bytes));

  test.each(["", "Mi", "1.5.5Gi", "-1", "1 Qi", "1mi", "0x10", "1e3", "9999999Ti", -1, 1.5, Number.NaN])(
    "%s is refused",
    (text) => expect(parseBytes(text)).toMatchObject({ ok: false }),
  );

  test("what a whole number of any unit says comes back exactly", () => {
    const units = [
      ["Ki", 2 ** 10],
      ["Mi", 2 ** 20],
      ["Gi", 2 ** 30],
      ["kB", 1e3],
      ["MB", 1e6],
      ["GB", 1e9],
    ] as const;
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1_000_000 }), fc.constantFrom(...units), (amount, [unit, factor]) => {
        expect(value(parseBytes(`${amount}${unit}`))).toBe(amount * factor);
      }),
    );
  });

  test("a formatted size is read back to within the digits shown", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 50 }), (bytes) => {
        const back = value(parseBytes(formatBytes(bytes)));
        expect(Math.abs(back - bytes)).toBeLessThanOrEqual(Math.max(1, bytes * 0.006));
      }),
    );
  });
});

describe("CPUs", () => {
  test.each([
    ["0.5", 500],
    [2, 2000],
    ["250m", 250],
    ["0.07", 70],
    ["0.0001", 1],
    ["1.5m", 2],
  ])("%s is %i thousandths", (text, millis) => expect(value(parseCpuMillis(text))).toBe(millis));

  test.each(["", "m", "1 cpu", "-1", "1e3", "half", Number.NaN, Number.POSITIVE_INFINITY])("%s is refused", (text) =>
    expect(parseCpuMillis(text)).toMatchObject({ ok: false }),
  );

  test("formatting and reading give the same number", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10_000_000 }), (millis) => {
        expect(value(parseCpuMillis(formatCpu(millis)))).toBe(millis);
        expect(value(parseCpuMillis(`${millis}m`))).toBe(millis);
      }),
    );
  });
});

describe("durations", () => {
  test.each([
    ["30s", 30_000],
    ["1m30s", 90_000],
    ["250ms", 250],
    ["2h", 7_200_000],
    ["1.5s", 1500],
    ["1d", 86_400_000],
  ])("%s is %i ms", (text, ms) => expect(value(parseDurationMs(text))).toBe(ms));

  test.each(["", "30", "s", "1x", "-1s", "1s 2", "1m30", 30])("%s is refused", (text) =>
    expect(parseDurationMs(text)).toMatchObject({ ok: false }),
  );

  test("reads every sum of its units", () => {
    const part = fc.integer({ min: 0, max: 999 });
    fc.assert(
      fc.property(part, part, part, part, part, (d, h, m, s, ms) => {
        const total = d * 86_400_000 + h * 3_600_000 + m * 60_000 + s * 1000 + ms;
        expect(value(parseDurationMs(`${d}d${h}h${m}m${s}s${ms}ms`))).toBe(total);
      }),
    );
  });

  test("a formatted duration is read back to within its smaller unit", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 30 * 86_400_000 }), (ms) => {
        const back = value(parseDurationMs(formatDuration(ms).replaceAll(" ", "")));
        const unit =
          ms < 60_000 ? Math.max(1, ms * 0.006) : ms < 3_600_000 ? 1000 : ms < 86_400_000 ? 60_000 : 3_600_000;
        expect(Math.abs(back - ms)).toBeLessThanOrEqual(unit);
      }),
    );
  });

  test("no text at all makes a reader throw", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        parseBytes(text);
        parseCpuMillis(text);
        parseDurationMs(text);
      }),
    );
  });
});
