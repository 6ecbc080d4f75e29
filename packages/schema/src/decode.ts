/**
 * From unknown input to a typed value: the only way anything from outside gets in. Validators are compiled once, at
 * their first use. What does not fit is explained by field-errors.ts.
 */
import type { Static, TSchema } from "#typebox";
import { Compile } from "#typebox/compile";
import { explain } from "./field-errors.ts";
import { problem, type FieldError, type Problem, type ProblemCode } from "./problem.ts";
import { err, ok, type Result } from "./result.ts";

export type Decoder<T> = (input: unknown) => Result<T, FieldError[]>;

/**
 * A decoder for `schema`, compiled at its first use (so that a page that never decodes needs no code generation);
 * after that a check costs microseconds.
 */
export const decoder = <S extends TSchema>(schema: S): Decoder<Static<S>> => {
  let compiled: ReturnType<typeof Compile<S>> | undefined;
  return (input) => {
    const validator = (compiled ??= Compile(schema));
    if (validator.Check(input)) return ok(input as Static<S>);
    return err(explain(schema, input));
  };
};

/** Parses JSON text and decodes it; both kinds of failure become one problem. `what` names the message in it. */
export const decodeJson = <T>(
  decode: Decoder<T>,
  text: string,
  what: string,
  code: ProblemCode = "message.invalid",
): Result<T, Problem> => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return err(problem(code, `${what} is not JSON: ${error instanceof Error ? error.message : String(error)}`));
  }
  const decoded = decode(value);
  if (decoded.ok) return decoded;
  const first = decoded.error[0];
  const place = first === undefined ? "" : `: ${first.pointer === "" ? "/" : first.pointer} ${first.message}`;
  return err(problem(code, `${what} does not have the expected form${place}`, { errors: decoded.error }));
};
