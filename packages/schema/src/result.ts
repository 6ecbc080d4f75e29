/** An expected outcome as a value: exceptions are for bugs and for failed I/O in adapters. */
export type Result<T, E> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: E };

export const ok = <T>(value: T): Result<T, never> => ({ ok: true, value });
export const err = <E>(error: E): Result<never, E> => ({ ok: false, error });

/** The end of an exhaustive `switch`: the compiler proves that it is never reached. */
export const absurd = (never: never): never => {
  throw new Error(`unreachable: ${JSON.stringify(never)}`);
};
