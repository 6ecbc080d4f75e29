/** What a job document may say of secrets. */
import { expect, test } from "vitest";
import { parseJobDocument } from "./job-parse.ts";

const parse = (secrets: readonly object[], more: object = {}) =>
  parseJobDocument({ name: "a", kind: "batch", image: "builtin://busybox", command: ["true"], secrets, ...more });

test("a use without a place becomes a file with the name of the secret", () => {
  const spec = parse([{ secret: "a.b" }, { secret: "c", env: "C" }, { secret: "d", env: "D", file: "d.txt" }]);
  expect(spec.ok && spec.value.secrets).toEqual([
    { secret: "a.b", file: "a.b" },
    { secret: "c", env: "C" },
    { secret: "d", env: "D", file: "d.txt" },
  ]);
  const none = parse([]);
  expect(none.ok && none.value).not.toHaveProperty("secrets");
});

test.each([
  [[{ secret: "A" }], {}, "/secrets/0/secret"],
  [[{ secret: "a", file: "../a" }], {}, "/secrets/0/file"],
  [[{ secret: "a", file: "__proto__" }], {}, "/secrets/0/file"],
  [[{ secret: "a", env: "__proto__" }], {}, "/secrets/0/env"],
  [[{ secret: "a", env: "1A" }], {}, "/secrets/0/env"],
  [[{ secret: "a", env: "BERTH_HOST" }], {}, "/secrets/0/env"],
  [[{ secret: "a" }, { secret: "b", file: "a" }], {}, "/secrets/1/file"],
  [[{ secret: "a", env: "E" }], { env: { E: "1" } }, "/secrets/0/env"],
  [[{ secret: "a" }], { volumes: [{ tmpfs: true, target: "/run/secrets/x" }] }, "/volumes/0/target"],
  [Array.from({ length: 17 }, (_, at) => ({ secret: `s${at}` })), {}, "/secrets"],
])("%j with %j is refused at its place", (secrets, more, pointer) => {
  const refused = parse(secrets, more);
  expect(refused.ok ? [] : refused.error.errors?.map((one) => one.pointer)).toContain(pointer);
});
