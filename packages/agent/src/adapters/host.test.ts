/** The small adapters against what they adapt: this machine's kernel files, real keys, a real directory. */
import { generateKeyPairSync, sign } from "node:crypto";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { decoder, HostUsageSchema, InventorySchema, PressureSchema, PublicKeySchema } from "@berth/schema";
import { capacityOf } from "../core/capacity.ts";
import { layoutOf } from "./files/layout.ts";
import { recallSettings, rememberSettings } from "./files/settings.ts";
import { readInventory } from "./inventory.ts";
import { readMachine } from "./kernel/machine.ts";
import { createHostProbe } from "./kernel/probe.ts";
import { ensureIdentity } from "./nats/identity.ts";
import { createVerifier } from "./verifier.ts";

let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "berth-host-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

test("this machine has a capacity, and its use has the form of the schema", () => {
  const { allocatable, capacity } = capacityOf(readMachine(), {});
  expect(capacity.cpuMillis).toBeGreaterThanOrEqual(1);
  expect(allocatable.memoryBytes).toBeGreaterThan(0);
  expect(allocatable.pids).toBeGreaterThan(0);
  const probe = createHostProbe();
  const { pressure, usage } = probe.sample();
  expect(decoder(HostUsageSchema)(usage)).toMatchObject({ ok: true });
  expect(pressure === null || decoder(PressureSchema)(pressure).ok).toBe(true);
  expect(usage.memoryBytes).toBeGreaterThan(0);
  expect(probe.idBaseOf(process.pid)).toBe(0);
  expect(probe.idBaseOf(4_194_305)).toBeUndefined();
  // Both count from the start of this process, which takes a moment to come to its first instruction.
  const ageMs = probe.ageMsOf(process.pid) ?? 0;
  expect(ageMs).toBeGreaterThan(0);
  expect(Math.abs(ageMs - process.uptime() * 1000)).toBeLessThan(60_000);
  expect(probe.ageMsOf(4_194_305)).toBeUndefined();
});

test("a machine whose kernel tells nothing still has something to say", () => {
  const machine = readMachine(() => undefined);
  expect(machine.memoryBytes).toBeGreaterThan(0);
  expect(machine.cpus).toBeGreaterThan(0);
  expect(createHostProbe(() => undefined).sample()).toMatchObject({ pressure: null, usage: { cpuMillis: 0, pids: 0 } });
});

test("the inventory is complete even when there was no time to look", async () => {
  const hostPaths = [{ prefix: "/srv", readOnly: true }];
  const parts = { cgroupVersion: "v2", notEnforced: ["x".repeat(1000)], agentVersion: "1.2.3", hostPaths } as const;
  const hurried = await readInventory(parts, 0);
  expect(decoder(InventorySchema)(hurried)).toMatchObject({ ok: true });
  expect(hurried).toMatchObject({ os: "Linux", agentVersion: "1.2.3", hostPaths });
});

test("only the holder of the cluster key can write what is believed", () => {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const other = generateKeyPairSync("ed25519");
  const verifier = createVerifier(publicKey.export({ type: "spki", format: "pem" }).toString());
  const payload = '{"a":"ü"}';
  const by = (key: typeof privateKey): string => sign(null, Buffer.from(payload), key).toString("base64");
  expect(verifier.verify({ payload, signature: by(privateKey) })).toBe(payload);
  expect(verifier.verify({ payload, signature: by(other.privateKey) })).toBeUndefined();
  expect(verifier.verify({ payload: `${payload} `, signature: by(privateKey) })).toBeUndefined();
  expect(verifier.verify({ payload, signature: "" })).toBeUndefined();
  expect(() => createVerifier("nonsense")).toThrow(/not a public key/);
  const rsa = generateKeyPairSync("rsa", { modulusLength: 1024 });
  expect(() => createVerifier(rsa.publicKey.export({ type: "spki", format: "pem" }).toString())).toThrow(/not ed25519/);
});

test("a host keeps the key it made, readable by nobody else; two who ask at once get the same", async () => {
  const [one, two] = await Promise.all([ensureIdentity(directory), ensureIdentity(directory)]);
  expect(one).toEqual(two);
  expect(decoder(PublicKeySchema)(one.publicKey)).toMatchObject({ ok: true });
  expect((await stat(one.seedFile)).mode & 0o777).toBe(0o600);
  expect(await ensureIdentity(directory)).toEqual(one);
  expect(await readFile(one.seedFile, "utf8")).toMatch(/^SU[A-Z2-7]{56}\n$/);
  await writeFile(one.seedFile, "nonsense");
  await expect(ensureIdentity(directory)).rejects.toThrow(/does not hold an nkey seed/);
});

test("settings are found again, damaged ones are named", async () => {
  const layout = layoutOf(join(directory, "data"));
  expect(await recallSettings(layout)).toBeUndefined();
  const settings = { host: "h1", cgroupParent: "berth/h1" } as unknown as Parameters<typeof rememberSettings>[1];
  await rememberSettings(layout, settings);
  expect(await recallSettings(layout)).toMatchObject(settings);
  await writeFile(layout.settings, "x");
  await expect(recallSettings(layout)).rejects.toThrow(/is damaged/);
});
