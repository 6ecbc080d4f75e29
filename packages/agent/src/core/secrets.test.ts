/** What a task is given of the secrets of its project, and what is said when it cannot be. */
import { expect, test } from "vitest";
import { testSpec } from "../testing/fake-scheduler.ts";
import { secretsOf } from "./secrets.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const given = (uses: NonNullable<ReturnType<typeof testSpec>["secrets"]>, value: Uint8Array | "absent" | "sealed") =>
  secretsOf(testSpec(["true"], { secrets: uses }), () => value);

test("files hold bytes, variables text", () => {
  expect(given([{ secret: "a", file: "f", env: "E" }], bytes("v\n"))).toEqual({
    ok: true,
    value: { files: { f: bytes("v\n") }, env: { E: "v\n" } },
  });
  expect(given([{ secret: "a", file: "f" }], new Uint8Array([0, 255]))).toMatchObject({ ok: true });
  expect(secretsOf(testSpec(["true"]), () => "absent")).toEqual({ ok: true, value: { files: {}, env: {} } });
});

test.each([
  ["absent", "absent", "has sent no secret a of project default"],
  ["sealed for another host", "sealed", "was not sealed for this host"],
  ["with a NUL", bytes("secret\0words"), "is not text"],
  ["of no encoding", new Uint8Array([115, 255]), "is not text"],
] as const)(
  "a variable from a value that is %s is refused, and the sentence does not show it",
  (_what, value, sentence) => {
    const refused = given([{ secret: "a", env: "E" }], value);
    expect(refused).toMatchObject({ ok: false, error: expect.stringContaining(sentence) });
    expect(JSON.stringify(refused)).not.toContain("words");
  },
);
