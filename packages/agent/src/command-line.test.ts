import { expect, test } from "vitest";
import { parseCommandLine } from "./command-line.ts";

const needed = [
  "--host",
  "h1",
  "--data-dir",
  "/d",
  "--nats-url",
  "nats://a",
  "--nats-url",
  "nats://b",
  "--seed-file",
  "s",
  "--cluster-key-file",
  "k",
];

test("flags become options", () => {
  const parsed = parseCommandLine([
    ...needed,
    "--cpu",
    "600m",
    "--memory",
    "2Gi",
    "--pids",
    "99",
    "--id-base",
    "1000000",
    "--standby",
    "2",
    "--label",
    "rack=r1",
    "--label",
    "note=a=b",
    "--resource",
    "gpu=2",
    ...["--device", "fpga:0=/dev/fpga0", "--pinning", "--ports", "21000-21999", "--network", "egress=200M"],
    "--unconfined-seccomp",
    ...["--host-path", "/srv/media", "--host-path", "photos=/srv/photos:ro"],
    "--exit-with-parent",
  ]);
  expect(parsed).toEqual({
    ok: true,
    value: {
      exitWithParent: true,
      agent: {
        host: "h1",
        dataDir: "/d",
        natsUrls: ["nats://a", "nats://b"],
        seedFile: "s",
        clusterKeyFile: "k",
        share: { cpuMillis: 600, memoryBytes: 2 * 2 ** 30, pids: 99 },
        labels: { rack: "r1", note: "a=b" },
        resources: { gpu: 2, netEgressBits: 200_000_000 },
        devices: [{ kind: "fpga", id: "0", paths: ["/dev/fpga0"] }],
        ports: { first: 21_000, last: 21_999 },
        pinning: true,
        hostPaths: [
          { prefix: "/srv/media", readOnly: false },
          { project: "photos", prefix: "/srv/photos", readOnly: true },
        ],
        unconfinedSeccomp: true,
        idBase: 1_000_000,
        standby: 2,
      },
    },
  });
  for (const wrong of ["8080", "9-8", "0-5", "1-70000"])
    expect(parseCommandLine([...needed, "--ports", wrong])).toEqual({
      ok: false,
      error: `--ports ${wrong}: write it like 20000-29999, within 1-65535`,
    });
  expect(parseCommandLine([...needed, "--network", "1Gi"])).toMatchObject({
    error: expect.stringMatching(/^--network 1Gi: .*write it like 100M/u),
  });
  expect(parseCommandLine([...needed, "--network", "1G", "--resource", "netEgressBits=5"])).toEqual({
    ok: false,
    error: "--resource netEgressBits: is said by --network already",
  });
  expect(parseCommandLine([...needed, "--resource", "ports=5"])).toMatchObject({
    error: expect.stringContaining("--ports"),
  });
  expect(parseCommandLine(needed)).toMatchObject({ value: { exitWithParent: false, agent: { share: {} } } });
});

test.each([
  [needed.slice(2), "--host is missing"],
  [needed.slice(0, 4), "--nats-url is missing"],
  [[...needed, "--cpu", "much"], '--cpu: "much" is not a number of CPUs'],
  [[...needed, "--memory", "-1"], "--memory"],
  [[...needed, "--pids", "1.5"], "--pids must be a whole number"],
  [[...needed, "--label", "rack"], "--label rack: write it like rack=r1"],
  [[...needed, "--label", "a=1", "--label", "a=2"], "--label a is given twice"],
  [[...needed, "--resource", "gpu=many"], "--resource gpu=many: write it like gpu=2"],
  [[...needed, "--resource", "pids=3"], "--resource pids: has a flag of its own"],
  [[...needed, "--device", "fpga"], "--device fpga: write it like gpu:0@A100=/dev/nvidia0,/dev/nvidiactl"],
  [[...needed, "--device", "a:0=/dev/a", "--device", "a:0=/dev/b"], "--device a:0 is given twice"],
  [[...needed, "--id-base", "x"], "--id-base must be a whole number"],
  [[...needed, "--standby", "65"], "--standby must be a whole number in 0..64"],
  [[...needed, "--log-level", "loud"], "--log-level must be one of"],
  [[...needed, "--what"], "--what"],
  [[...needed, "extra"], "extra"],
])("a mistake is one sentence: %j", (args, sentence) => {
  const parsed = parseCommandLine(args);
  expect(parsed.ok ? "" : parsed.error).toContain(sentence);
});
