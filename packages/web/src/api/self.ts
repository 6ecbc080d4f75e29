/** Asked for when a screen with a button comes up, so that a role that was changed shows with the next one. */
import { useEffect, useState } from "react";
import type { Self } from "@berth/schema";
import { fetchSelf } from "./client.ts";

/** Undefined until it is known, and when it cannot be had. */
export const useSelf = (): Self | undefined => {
  const [self, setSelf] = useState<Self>();
  useEffect(() => {
    const leaving = new AbortController();
    void fetchSelf(leaving.signal).then((answer) => {
      if (answer.ok && !leaving.signal.aborted) setSelf(answer.value);
    });
    return () => leaving.abort();
  }, []);
  return self;
};
