/** Snapshots of older forms are read as the newest one. */
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { createState, restoreImage } from "../core/index.ts";
import { inside } from "../core/state.ts";
import { makeSpec, resources, unwrap, World } from "../core/testing/world.ts";
import { decodeSnapshot, encodeSnapshot } from "./snapshot-format.ts";

type Line = { readonly kind?: string; readonly facts?: object };
const options = { cluster: "test", incarnation: "one", nowMs: 1 };
const linesOf = (chunks: readonly Uint8Array[]): Line[] =>
  Buffer.concat(chunks)
    .toString()
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);

/** The same snapshot as form 4 had it. */
const asForm4 = (chunks: readonly Uint8Array[]): Uint8Array[] => {
  const older = linesOf(chunks)
    .slice(0, -1)
    .map((line, at) => {
      if (at === 0) return { ...line, version: 4 };
      return line.kind === "host" ? { ...line, facts: { ...line.facts, reserved: resources(1000, 1024, 10) } } : line;
    });
  const body = Buffer.from(older.map((line) => `${JSON.stringify(line)}\n`).join(""));
  const end = { kind: "end", lines: older.length, sha256: createHash("sha256").update(body).digest("hex") };
  return [body, Buffer.from(`${JSON.stringify(end)}\n`)];
};

test("one of form 4 says of hosts what is reserved there: that is left out, and not written again", () => {
  const world = new World();
  world.host("h1");
  world.submit(makeSpec("runs"));
  world.plan();
  const written = encodeSnapshot(world.state, options);
  const state = createState();
  restoreImage(state, unwrap(decodeSnapshot(asForm4(written))).image);
  expect(inside(state).hosts.get("h1" as never)).not.toHaveProperty("reserved");
  expect(linesOf(encodeSnapshot(state, options))).toEqual(linesOf(written));
});

test("one of a newer form is refused", () => {
  const [first, ...others] = linesOf(encodeSnapshot(createState(), options));
  const newer = [{ ...first, version: 7 }, ...others].map((line) => Buffer.from(`${JSON.stringify(line)}\n`));
  expect(decodeSnapshot(newer)).toMatchObject({
    ok: false,
    error: expect.stringContaining("form 7, this one reads 6"),
  });
});
