import { expect, test } from "vitest";
import { parseJobDocument } from "./job-parse.ts";
import { parseNetwork } from "./network.ts";
import { changeQuota } from "./project-parse.ts";
import type { QuotaChange } from "./project.ts";

const document = (resources: object) => ({
  ...{ name: "n", kind: "service", image: "builtin://busybox", command: ["sh"] },
  resources,
});
const errorsOf = (resources: object): string[] => {
  const parsed = parseJobDocument(document(resources));
  return parsed.ok ? [] : (parsed.error.errors ?? []).map(({ message, pointer }) => `${pointer} ${message}`);
};
const furtherOf = (resources: object): unknown => {
  const parsed = parseJobDocument(document(resources));
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.error));
  return parsed.value.requests.more;
};

test("bandwidth becomes two further dimensions, in bits per second and decimal units; each is optional", () => {
  expect(furtherOf({ network: { ingress: "100M", egress: "2.5G" }, more: { gpu: 1 } })).toEqual({
    gpu: 1,
    netIngressBits: 100_000_000,
    netEgressBits: 2_500_000_000,
  });
  expect(furtherOf({ network: { egress: 64_000 } })).toEqual({ netEgressBits: 64_000 });
  expect(furtherOf({ network: {} })).toBeUndefined();
  expect(furtherOf({ network: { ingress: "1G" }, more: { netEgressBits: 5 } })).toEqual({
    netIngressBits: 1_000_000_000,
    netEgressBits: 5,
  });
});

test.each([
  [{ network: { ingress: "100Mi" } }, "/resources/network/ingress ", "write it like 100M"],
  [{ network: { egress: "10MB" } }, "/resources/network/egress ", "write it like 100M"],
  [{ network: { egress: "fast" } }, "/resources/network/egress ", "write it like 100M"],
  [{ network: { egress: -1 } }, "/resources/network/egress ", "write it like 100M"],
  [{ network: { egress: 100 } }, "/resources/network/egress ", "must be between 1k and 100T"],
  [{ network: { egress: "0" } }, "/resources/network/egress ", "must be between 1k and 100T"],
  [{ network: { egress: "101T" } }, "/resources/network/egress ", "must be between 1k and 100T"],
  [{ network: { egress: "99999999999999999999T" } }, "/resources/network/egress ", "out of range"],
  [{ network: { egress: true } }, "/resources/network/egress", ""],
  [{ network: { ingres: "1G" } }, "/resources/network/ingres ", "ingress"],
  [{ network: { egress: "1G" }, more: { netEgressBits: 5 } }, "/resources/network/egress ", "twice"],
])("%j is refused where it is wrong", (resources, place, words) => {
  const errors = errorsOf(resources);
  expect(errors).toHaveLength(1);
  expect(errors[0]?.startsWith(place), errors[0]).toBe(true);
  expect(errors[0]).toContain(words);
});

test("an operator says both ways at once, each, one of them, or that there is none", () => {
  const [netIngressBits, netEgressBits] = [1e9, 2e8];
  expect(parseNetwork("1G")).toEqual({ ok: true, value: { netIngressBits, netEgressBits: 1e9 } });
  expect(parseNetwork("egress=200M,ingress=1G")).toEqual({ ok: true, value: { netIngressBits, netEgressBits } });
  expect(parseNetwork("egress=200M")).toEqual({ ok: true, value: { netEgressBits } });
  expect(parseNetwork("none")).toEqual({ ok: true, value: { netIngressBits: 0, netEgressBits: 0 } });
});

test.each(["", "1Gi", "egress", "egress=", "up=1G", "egress=1G,egress=2G", "egress=1G,", "5", "toString=1G"])(
  "--network %s is refused in words",
  (text) => expect(parseNetwork(text)).toMatchObject({ ok: false, error: expect.stringMatching(/\w{4}/u) }),
);

test("a quota of bandwidth is said as a job says it, taken away by null, and never said twice", () => {
  const changed = (change: QuotaChange, before = {}) => {
    const quota = changeQuota(before, change);
    return quota.ok ? quota.value : quota.error.map(({ message, pointer }) => `${pointer} ${message}`);
  };
  expect(changed({ network: { ingress: "1.5 Gbit/s", egress: "200Mbit" } }, { tasks: 3 })).toEqual({
    ...{ tasks: 3, more: { netIngressBits: 1_500_000_000, netEgressBits: 200_000_000 } },
  });
  expect(changed({ network: { egress: 0 } })).toEqual({ more: { netEgressBits: 0 } });
  expect(changed({ network: { egress: null } }, { more: { netEgressBits: 5000 } })).toEqual({});
  expect(changed({ network: { egress: 100, ingress: "2Gi" } })).toEqual([
    expect.stringContaining("/quota/network/ingress"),
    "/quota/network/egress must be between 1k and 100T bits per second",
  ]);
  expect(changed({ network: { egress: "1G" }, more: { netEgressBits: 1 } })).toEqual([
    "/quota/network/egress is said twice, see more.netEgressBits",
  ]);
});
