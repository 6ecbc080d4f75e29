/** How much of an upload was sent: one line, and only for somebody who watches. */
import { formatBytes } from "@berth/schema";
import type { Io } from "../io.ts";
import { createLive } from "./live.ts";

export interface Sent {
  readonly show: (bytes: number) => Promise<void>;
  /** Before anything else is written. */
  readonly clear: () => Promise<void>;
}

/** `size`: of all of it; undefined when nobody knows. */
export const createSent = (
  { err }: Pick<Io, "err">,
  { quiet, size }: { readonly size: number | undefined; readonly quiet: boolean },
): Sent => {
  const live = createLive(err);
  const of = size === undefined ? "" : ` of ${formatBytes(size)}`;
  return {
    show: async (bytes) => {
      if (!quiet && err.isTty) await live.show(`sent ${formatBytes(bytes)}${of}`);
    },
    clear: live.clear,
  };
};
