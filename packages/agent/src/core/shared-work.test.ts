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

test("one may leave; when the last leaves, the work is stopped, and it is said once that has ended", async () => {
  const shared = new SharedWork<string>();
  const { promise, open } = gate();
  const signals: AbortSignal[] = [];
  const work = (signal: AbortSignal) => {
    signals.push(signal);
    return promise;
  };
  const [first, second] = [new AbortController(), new AbortController()];
  const one = shared.run("a", first.signal, work);
  let isSaid = false;
  const two = shared.run("a", second.signal, work).finally(() => (isSaid = true));
  first.abort(new Error("enough"));
  await expect(one).rejects.toThrow("enough");
  expect(signals[0]?.aborted).toBe(false);
  second.abort(new Error("me too"));
  expect(signals[0]?.aborted).toBe(true);
  await new Promise(setImmediate);
  expect(isSaid).toBe(false);
  open("it could not be stopped any more");
  await expect(two).rejects.toThrow("me too");
});

test("who comes while it ends begins anew, after it", async () => {
  const shared = new SharedWork<string>();
  const [ending, anew] = [gate(), gate()];
  const begun: string[] = [];
  const left = new AbortController();
  const one = shared.run("a", left.signal, () => (begun.push("one"), ending.promise));
  left.abort(new Error("enough"));
  const never = new AbortController().signal;
  const two = shared.run("a", never, () => (begun.push("two"), anew.promise));
  const three = shared.run("a", never, () => (begun.push("three"), anew.promise));
  const gone = new AbortController();
  const four = shared.run("b", gone.signal, () => (begun.push("four"), ending.promise));
  gone.abort(new Error("no"));
  const again = new AbortController();
  const five = shared.run("b", again.signal, () => (begun.push("five"), anew.promise));
  again.abort(new Error("nor this"));
  await new Promise(setImmediate);
  expect(begun).toEqual(["one", "four"]);
  ending.open("ended");
  await expect(one).rejects.toThrow("enough");
  await expect(four).rejects.toThrow("no");
  await expect(five).rejects.toThrow("nor this");
  await new Promise(setImmediate);
  expect(begun).toEqual(["one", "four", "two"]);
  anew.open("later");
  expect(await Promise.all([two, three])).toEqual(["later", "later"]);
});

test("a failure is everybody's, and is not kept", async () => {
  const shared = new SharedWork<string>();
  const never = new AbortController().signal;
  await expect(shared.run("a", never, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(await shared.run("a", never, () => Promise.resolve("yes"))).toBe("yes");
  await expect(shared.run("a", AbortSignal.abort(), () => Promise.resolve("never"))).rejects.toThrow();
});
