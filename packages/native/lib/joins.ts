/** Opens the namespaces that a spec wants to join. Whether they are of the right kind is the supervisor's to check. */
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { fromSystemError } from "./errors.ts";
import type { Join } from "./spec/namespaces.ts";
import type { NativeError } from "./types.ts";

export type OpenedJoins =
  | { readonly ok: true; readonly fds: readonly number[]; close(): void }
  | { readonly ok: false; readonly error: NativeError };

export const openJoins = async (joins: readonly Join[]): Promise<OpenedJoins> => {
  const own: (() => void)[] = [];
  const close = (): void => {
    for (const one of own) one();
  };
  const fds: number[] = [];
  for (const { kind, source } of joins) {
    if ("fd" in source) {
      fds.push(source.fd);
      continue;
    }
    try {
      /* Should the path be that of a FIFO or a terminal, nothing waits for it. */
      const file = await open(source.path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
      own.push(() => void file.close());
      fds.push(file.fd);
    } catch (cause) {
      close();
      return { ok: false, error: fromSystemError("namespaces", cause, `${kind}: ${source.path}`) };
    }
  }
  return { ok: true, fds, close };
};
