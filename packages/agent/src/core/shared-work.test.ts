import { expect, test } from "vitest";
import { SharedWork } from "./shared-work.ts";

const gate = () => {
  let open: (value: string) => void = () => undefined;
  const promise = new Promise<string>((resolve) => (open = resolve));
  return { promise, open };
};

test("done once for all who ask at the same time, again for who asks later", async () => {
  const shared = new SharedWork<string>();
  const { promise, open } = gate();
  let times = 0;
  const work = () => {
    times += 1;
    return promise;
  };
  const never = new AbortController().signal;
  const both = Promise.all([shared.run("a", never, work), shared.run("a", never, work)]);
  open("done");
  expect(await both).toEqual(["done", "done"]);
  expect(await shared.run("a", never, work)).toBe("done");
  expect(times).toBe(2);
});

test("one may leave; the work ends when the last has left, and the next begins anew", async () => {
  const shared = new SharedWork<string>();
  const { promise, open } = gate();
  const signals: AbortSignal[] = [];
  const work = (signal: AbortSignal) => {
    signals.push(signal);
    return promise;
  };
  const [first, second] = [new AbortController(), new AbortController()];
  const one = shared.run("a", first.signal, work);
  const two = shared.run("a", second.signal, work);
  first.abort(new Error("enough"));
  await expect(one).rejects.toThrow("enough");
  expect(signals[0]?.aborted).toBe(false);
  second.abort();
  await expect(two).rejects.toThrow();
  expect(signals[0]?.aborted).toBe(true);
  const three = shared.run("a", new AbortController().signal, work);
  expect(signals).toHaveLength(2);
  open("later");
  expect(await three).toBe("later");
});

test("a failure is everybody's, and is not kept", async () => {
  const shared = new SharedWork<string>();
  const never = new AbortController().signal;
  await expect(shared.run("a", never, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(await shared.run("a", never, () => Promise.resolve("yes"))).toBe("yes");
  await expect(shared.run("a", AbortSignal.abort(), () => Promise.resolve("never"))).rejects.toThrow();
});
