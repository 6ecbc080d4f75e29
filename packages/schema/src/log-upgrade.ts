/**
 * Reading transactions of every form that was ever written. Whoever changes what a record means, or adds something that
 * every record must have, raises LOG_VERSION and adds a step here; new kinds of records need neither. A log is never
 * rewritten: it is upgraded each time it is read, until a snapshot has taken its place.
 */
import { decodeJson, decoder } from "./decode.ts";
import { LOG_VERSION, TransactionSchema, type Transaction } from "./log.ts";
import type { Problem } from "./problem.ts";
import { err, type Result } from "./result.ts";

type Loose = Readonly<Record<string, unknown>>;

/** From the version of the key to the next one. */
const STEPS: Readonly<Record<number, (old: Loose) => Loose>> = {
  // 2: who asked for it. Before, only some records said so.
  1: (old) => ({ ...old, version: 2, origin: null }),
};

const decodeCurrent = decoder(TransactionSchema);

const isLoose = (value: unknown): value is Loose =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const upgrade = (value: unknown): unknown => {
  let current = value;
  // Every step raises the version, so this comes to its end.
  for (let steps = 0; steps < LOG_VERSION && isLoose(current); steps += 1) {
    const version = current["version"];
    const step = typeof version === "number" ? STEPS[version] : undefined;
    if (step === undefined) break;
    current = step(current);
  }
  return current;
};

/** `what` names the transaction in a problem. */
export const readTransaction = (text: string, what: string): Result<Transaction, Problem> =>
  decodeJson(
    (value) => {
      const current = upgrade(value);
      const version = isLoose(current) ? current["version"] : undefined;
      if (typeof version === "number" && version > LOG_VERSION) {
        return err([
          {
            pointer: "/version",
            message: `is ${version}: a newer version of Berth has written it, and this one reads up to ${LOG_VERSION}`,
          },
        ]);
      }
      return decodeCurrent(current);
    },
    text,
    what,
  );
