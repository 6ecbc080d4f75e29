/** Whatever can start `true` in a container and tell how long it took. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

export interface Contestant {
  readonly name: string;
  /** Milliseconds from the call to the exit of the program. What is left of it is removed outside of that time. */
  start(): Promise<number>;
  /** Takes part in fewer rounds: a start takes hundreds of milliseconds. */
  readonly slow?: boolean;
  /** Lets it end what it began, and prepare for its next round, outside of all times. */
  rest?(): Promise<void>;
  close(): Promise<void>;
}

/** A contestant that cannot take part, and why. */
export interface Absent {
  readonly name: string;
  readonly absent: string;
}

export const findProgram = (name: string): string | undefined =>
  [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"]
    .map((directory) => join(directory, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
