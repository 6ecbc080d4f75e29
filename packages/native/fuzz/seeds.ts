/** Writes good specs as seeds for the spec fuzzer into the directory argv[2]: they follow the format wherever it goes. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { planStart } from "../lib/resources/plan.ts";
import { settingsOf } from "../lib/resources/settings.ts";
import { v1Host } from "../lib/resources/testing.ts";
import { encodeSpec } from "../lib/spec.ts";
import { encodeCgroups } from "../lib/spec/cgroups.ts";
import type { ContainerSpec } from "../lib/types.ts";
import { plainSpec } from "../test/scratch.ts";

const plain = plainSpec(1, "/image", ["true"]);
const specs: readonly ContainerSpec[] = [
  plain,
  { ...plain, command: ["/bin/sh", "-c", "x"], env: { A: "1", PATH: "/bin" }, layers: ["/a", "/b"], workdir: "/w" },
  {
    ...plain,
    mounts: [
      { source: "/s", target: "/t", readOnly: true },
      { source: "/u", target: "/v/w", readOnly: false },
    ],
  },
  {
    ...plain,
    network: { kind: "bridge", bridge: "b0", address: "10.0.0.2/8", gateway: "10.0.0.1", egressBitsPerSecond: 1e9 },
  },
  { ...plain, network: { kind: "routed", address: "10.0.0.2" } },
  { ...plain, secrets: { target: "/run/secrets", files: { one: Buffer.from("v"), two: new Uint8Array(9) } } },
];
const context = {
  log: { maxBytes: 200_000 },
  attachLayers: false,
  policy: {},
  limitsDisk: false,
  stateDir: "/state",
};

const directory = process.argv[2] ?? "";
mkdirSync(directory, { recursive: true });
specs.forEach((spec, at) => {
  const writes = planStart(settingsOf(spec.limits, v1Host).settings);
  const cgroups = encodeCgroups({ parent: "p/q", hierarchies: v1Host.hierarchies, writes });
  const encoded = encodeSpec(spec, context, cgroups);
  if (!encoded.ok) throw new Error(`seed ${at}: ${encoded.error.detail}`);
  writeFileSync(join(directory, `seed-${at}`), encoded.value);
});
