import { expect, test } from "vitest";
import { parseFlags } from "./flags.ts";

test("defaults", () => {
  expect(parseFlags(["--data-dir", "/d"])).toEqual({
    ok: true,
    value: {
      options: {
        dataDir: "/d",
        clusterName: "berth",
        api: { host: "127.0.0.1", port: 8640 },
        bus: { kind: "embedded", host: "127.0.0.1", port: 4640, advertise: [], maxStoreBytes: 4 * 2 ** 30 },
        lostAfterMs: 15_000,
      },
      logLevel: "info",
      exitWithParent: false,
      help: false,
    },
  });
});

test("an external bus", () => {
  const flags = parseFlags([
    "--data-dir",
    "/d",
    "--nats-url",
    "nats://a",
    "--nats-url",
    "nats://b",
    "--nats-seed-file",
    "/s",
    "--nats-replicas",
    "3",
  ]);
  expect(flags).toMatchObject({
    value: { options: { bus: { kind: "external", urls: ["nats://a", "nats://b"], seedFile: "/s", replicas: 3 } } },
  });
});

test.each<[string[], RegExp]>([
  [[], /--data-dir is missing/],
  [["--data-dir", "/d", "x"], /x/],
  [["--data-dir", "/d", "--api-prot", "1"], /api-prot/],
  [["--data-dir", "/d", "--api-port", "70000"], /"70000" is not a port/],
  [["--data-dir", "/d", "--nats-port", "-1"], /nats-port/],
  [["--data-dir", "/d", "--nats-url", "nats://a"], /--nats-seed-file/],
  [["--data-dir", "/d", "--nats-url", "nats://a", "--nats-seed-file", "/s", "--nats-replicas", "2"], /1, 3 or 5/],
  [["--data-dir", "/d", "--nats-max-store", "lots"], /not a size/],
  [["--data-dir", "/d", "--nats-max-store", "1Mi"], /at least 64Mi/],
  [["--data-dir", "/d", "--lost-after", "15"], /not a duration/],
  [["--data-dir", "/d", "--lost-after", "1s"], /two heartbeats/],
  [["--data-dir", "/d", "--cluster-name", "My Cluster"], /lower-case/],
  [["--data-dir", "/d", "--log-level", "loud"], /must be one of/],
])("%j is refused", (args, message) => {
  const flags = parseFlags(args);
  expect(flags.ok ? "taken" : flags.error).toMatch(message);
});
