/** Waits for a condition of another process. Fails with what was seen, never because something was merely slow. */
export const eventually = async <T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  describe: () => string = () => "",
  timeoutMs = 30_000,
): Promise<T> => {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > end) throw new Error(`${what}: not after ${timeoutMs} ms. ${describe()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};
