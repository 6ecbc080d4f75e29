import { expect, test } from "vitest";
import { FetchRate } from "./fetch-rate.ts";

test("nothing is known before something was measured, and small fetches are no measurement", () => {
  const rate = new FetchRate();
  rate.note("registry", 2 ** 20 - 1, 10);
  rate.note("registry", 2 ** 20, 0);
  expect(rate.now).toEqual({ registry: null, cluster: null });
});

test("later measurements move it, each source for itself", () => {
  const rate = new FetchRate();
  rate.note("registry", 10_000_000, 1_000);
  expect(rate.now).toEqual({ registry: 10_000_000, cluster: null });
  rate.note("registry", 20_000_000, 1_000);
  rate.note("cluster", 5_000_000, 500);
  expect(rate.now).toEqual({ registry: 13_000_000, cluster: 10_000_000 });
});
