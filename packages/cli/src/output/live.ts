/**
 * One line of talk that is redrawn in place on a terminal; elsewhere a new line each time its text changes. Whoever
 * prints something else in between clears it first.
 */
import type { Sink } from "../io.ts";
import { cut } from "./width.ts";

const CLEAR = "\r\u001b[2K";

export interface Live {
  readonly show: (text: string) => Promise<void>;
  readonly clear: () => Promise<void>;
}

export const createLive = (sink: Sink): Live => {
  let last: string | undefined;
  let drawn = false;
  return {
    show: async (text) => {
      if (text === last) return;
      last = text;
      if (!sink.isTty) return sink.write(`${text}\n`);
      drawn = true;
      // One cell stays free: a full line would wrap and could not be cleared.
      return sink.write(CLEAR + cut(text, Math.max(10, (sink.columns() ?? 80) - 1)));
    },
    clear: async () => {
      if (!drawn) return;
      drawn = false;
      last = undefined;
      await sink.write(CLEAR);
    },
  };
};
