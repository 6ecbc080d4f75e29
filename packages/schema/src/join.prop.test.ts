/** Join lines survive the way through terminals and mail, and nothing else passes for one. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { formatJoinLine, parseJoinLine } from "./join.ts";

const hex = fc.stringMatching(/^[0-9a-f]{64}$/);
const token = fc.stringMatching(/^[a-z0-9]{10}\.[A-Za-z0-9_-]{43}$/);
const url = fc.tuple(fc.ipV4(), fc.integer({ min: 1, max: 65_535 })).map(([host, port]) => `https://${host}:${port}`);
const lines = fc.record({ urls: fc.array(url, { minLength: 1, maxLength: 4 }), fingerprint: hex, token });

test("what was formatted is read back, also with blanks around it", () => {
  fc.assert(
    fc.property(lines, (line) => {
      const text = formatJoinLine(line);
      expect(text).toMatch(/^[A-Za-z0-9._-]+$/);
      expect(parseJoinLine(` ${text}\n`)).toEqual({ ok: true, value: line });
    }),
  );
});

test("a line that was cut short is refused", () => {
  fc.assert(
    fc.property(lines, fc.nat(), (line, at) => {
      const text = formatJoinLine(line);
      expect(parseJoinLine(text.slice(0, at % text.length)).ok).toBe(false);
    }),
  );
});

test("any other text is refused without an exception", () => {
  fc.assert(fc.property(fc.string(), (text) => !parseJoinLine(text).ok));
  fc.assert(fc.property(fc.json(), (json) => !parseJoinLine(`berth1.${btoa(encodeURIComponent(json))}`).ok));
});

test("an address that is not https is refused: whoever listens there could be anybody", () => {
  const line = {
    urls: ["http://10.0.0.1:8641"],
    fingerprint: "0".repeat(64),
    token: `${"a".repeat(10)}.${"b".repeat(43)}`,
  };
  expect(parseJoinLine(formatJoinLine(line)).ok).toBe(false);
  expect(parseJoinLine(formatJoinLine({ ...line, urls: ["https://u:p@10.0.0.1"] })).ok).toBe(false);
});
