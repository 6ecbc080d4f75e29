import fc from "fast-check";
import type { TSchema } from "#typebox";
import { describe, expect, test } from "vitest";
import * as schema from "./index.ts";
import { arbitrary } from "./testing/arbitraries.ts";

const { decoder, decodeJson } = schema;

/** Every schema that the package exports, so that a new one is covered without anyone remembering it. */
const schemas = Object.entries(schema).flatMap(([name, value]) =>
  name.endsWith("Schema") && typeof value === "object" ? [[name, value as TSchema] as const] : [],
);

test("the package exports its schemas by name", () => {
  expect(schemas.length).toBeGreaterThan(40);
});

describe.each(schemas)("%s", (_name, one) => {
  const decode = decoder(one);

  test("takes what fits, also after a trip through JSON", () => {
    fc.assert(
      fc.property(arbitrary(one), (value) => {
        const text = JSON.stringify(value);
        expect(decodeJson(decode, text, "message")).toEqual({ ok: true, value: JSON.parse(text) as unknown });
      }),
      { numRuns: 30 },
    );
  });

  test("never throws, and says why when it refuses", () => {
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), fc.anything()), (value) => {
        const decoded = decode(value);
        if (decoded.ok) return;
        expect(decoded.error.length).toBeGreaterThan(0);
        expect(decoded.error.length).toBeLessThanOrEqual(32);
      }),
      { numRuns: 100 },
    );
  });

  test("refuses a fitting value with one part broken, and the pointer leads there", () => {
    fc.assert(
      fc.property(
        arbitrary(one),
        fc.nat(),
        fc.constantFrom<unknown>(Symbol.iterator, [[]], { "": { "": 0 } }),
        (value, pick, junk) => {
          const broken = breakOne(value, pick, junk);
          const decoded = decode(broken.value);
          if (decoded.ok) return; // the part may be of a kind that takes anything
          const there = ({ pointer }: { readonly pointer: string }): boolean =>
            broken.pointer.startsWith(pointer) || pointer.startsWith(broken.pointer);
          expect(decoded.error.filter(there)).not.toEqual([]);
        },
      ),
      { numRuns: 60 },
    );
  });
});

/** Replaces one leaf, the `pick`-th in walking order (modulo their number). */
const breakOne = (
  value: unknown,
  pick: number,
  junk: unknown,
): { readonly value: unknown; readonly pointer: string } => {
  const leaves: string[][] = [];
  const walk = (at: unknown, path: string[]): void => {
    const entries = typeof at === "object" && at !== null ? Object.entries(at) : [];
    if (entries.length === 0) leaves.push(path);
    for (const [key, part] of entries) walk(part, [...path, key]);
  };
  walk(value, []);
  const path = leaves[pick % leaves.length] ?? [];
  const copy = structuredClone({ root: value });
  let at = copy as Record<string, unknown>;
  let key = "root";
  for (const next of path) {
    at = at[key] as Record<string, unknown>;
    key = next;
  }
  at[key] = junk;
  const pointer = path.map((part) => `/${part.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
  return { value: copy.root, pointer };
};

describe("explanations", () => {
  const outcome = decoder(schema.OutcomeSchema);
  const errors = (value: unknown): unknown => {
    const decoded = outcome(value);
    return decoded.ok ? [] : decoded.error;
  };

  test("speak of the branch that `kind` chose", () => {
    expect(errors({ kind: "blocked", hosts: [{ hostId: "a", reason: "lost", x: 1 }], unblockedBy: [] })).toEqual([
      { pointer: "/hosts/0/x", message: 'unknown key "x"; known keys: hostId, reason' },
    ]);
  });

  test("stay short and quick for a hostile value", () => {
    const hosts = Array.from({ length: 200_000 }, () => ({ hostId: 1 }));
    const many = errors({ kind: "blocked", hosts, unblockedBy: [] }) as unknown[];
    expect(many).toHaveLength(32);
    const deep = JSON.parse(`${'{"kind":'.repeat(3000)}1${"}".repeat(3000)}`) as unknown;
    expect(errors(deep)).not.toEqual([]);
  });

  test("what is not JSON is a problem that names the message", () => {
    expect(decodeJson(outcome, "{", "outcome")).toMatchObject({
      ok: false,
      error: {
        code: "message.invalid",
        status: 400,
        detail: expect.stringMatching(/^outcome is not JSON: /) as unknown,
      },
    });
  });
});
