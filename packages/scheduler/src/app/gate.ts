/** A place to wait: `passed` resolves at the next `open`, or at once when it was opened since the last passage. */
export interface Gate {
  readonly open: () => void;
  readonly passed: () => Promise<void>;
}

export const createGate = (): Gate => {
  let isOpen = false;
  let release: (() => void) | undefined;
  return {
    open: () => {
      isOpen = true;
      release?.();
    },
    passed: async () => {
      if (!isOpen) {
        await new Promise<void>((resolve) => {
          release = resolve;
        });
        release = undefined;
      }
      isOpen = false;
    },
  };
};
