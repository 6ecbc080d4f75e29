import { expect, test } from "vitest";
import { decoder } from "./decode.ts";
import { isProblemCode, problem, Problems, ProblemSchema, type ProblemCode } from "./problem.ts";

const codes = Object.keys(Problems).filter(isProblemCode);

test.each(codes)("%s is a whole problem document", (code: ProblemCode) => {
  const made = problem(code, "what was wrong", { errors: [{ pointer: "/a", message: "b" }], retryAfterMs: 1 });
  expect(decoder(ProblemSchema)(made)).toEqual({ ok: true, value: made });
  expect(made).toMatchObject({ code, status: Problems[code].status, title: Problems[code].title });
});

test("a code is an area and a reason; its status is an error; its exit is one of the documented ones", () => {
  for (const code of codes) {
    const { status, exit } = Problems[code];
    expect(code).toMatch(/^[a-z_]+(\.[a-z_]+)?$/);
    expect(status).toBeGreaterThanOrEqual(400);
    expect([65, 66, 69, 70, 75, 77]).toContain(exit);
  }
});

test("names of object properties are no codes", () => {
  for (const name of ["toString", "__proto__", "constructor", ""]) expect(isProblemCode(name)).toBe(false);
});
