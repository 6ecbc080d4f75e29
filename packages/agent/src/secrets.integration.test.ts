// Secrets in real containers, and what an agent does with those that are not for it. Sealed here as the standards say.
import { createCipheriv, createPublicKey, diffieHellman, generateKeyPairSync, hkdfSync } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sealedAbout, SEALING, type AllocationId, type Sealed } from "@berth/schema";
import type { AgentProcess } from "./testing/agent-process.ts";
import { startCluster, type TestCluster } from "./testing/cluster.ts";
import { eventually } from "./testing/eventually.ts";
import { testSpec } from "./testing/fake-scheduler.ts";

let made: TestCluster;
let agent: AgentProcess;
beforeAll(async () => {
  made = await startCluster();
  agent = await made.startAgent();
  await eventually("it has said hello", () => made.scheduler.hellos[0]);
});
afterAll(() => made.close());

const raw = (x: string | undefined): Buffer => Buffer.from(x ?? "", "base64url");
const seal = (value: string, host = "h1", key = "default/db"): Sealed => {
  const to = Buffer.from(made.scheduler.hellos[0]?.sealingKey ?? "", "base64");
  const jwk = { kty: "OKP", crv: "X25519", x: to.toString("base64url") };
  const pair = generateKeyPairSync("x25519");
  const from = raw(pair.publicKey.export({ format: "jwk" }).x);
  const publicKey = createPublicKey({ key: jwk, format: "jwk" });
  const shared = diffieHellman({ privateKey: pair.privateKey, publicKey });
  const boxKey = Buffer.from(hkdfSync("sha256", shared, Buffer.concat([from, to]), SEALING, 32));
  const cipher = createCipheriv("chacha20-poly1305", boxKey, Buffer.alloc(12), { authTagLength: 16 });
  cipher.setAAD(Buffer.from(sealedAbout(host, key)), { plaintextLength: Buffer.byteLength(value) });
  const box = Buffer.concat([cipher.update(value), cipher.final(), cipher.getAuthTag()]);
  return { from: from.toString("base64"), box: box.toString("base64") };
};

const place = (text: string) =>
  made.scheduler.place(testSpec(["sh", "-c", text], { secrets: [{ secret: "db", file: "db", env: "DB" }] }));
const end = (id: AllocationId) => eventually(`the end of ${id}`, () => made.scheduler.end(id));
const stdout = (id: AllocationId): Promise<string> => made.scheduler.stdoutOf(id);

test("a box for another host, of another secret, or damaged, is not opened, and the task says why", async () => {
  const { box, from } = seal("words");
  const damaged = { from, box: Buffer.from(box, "base64").fill(0, 0, 1).toString("base64") };
  for (const wrong of [seal("words", "h2"), seal("words", "h1", "default/other"), damaged]) {
    made.scheduler.secrets = { "default/db": wrong };
    const id = place("true");
    made.scheduler.publish();
    const { detail } = (await end(id)).exit ?? {};
    expect(detail).toContain("the secret db of project default was not sealed for this host");
  }
  made.scheduler.secrets = undefined;
  const id = place("true");
  made.scheduler.publish();
  expect((await end(id)).exit?.detail).toContain("the scheduler has sent no secret db of project default");
  expect(agent.log.join("")).not.toContain("words");
});

test("a document of before a change is refused: whatever starts gets the newest value", async () => {
  made.scheduler.secrets = { "default/db": seal("old") };
  const first = place("cat /run/secrets/db; echo; echo $DB");
  made.scheduler.publish();
  const before = made.scheduler.sign(made.scheduler.document());
  await end(first);
  expect(await stdout(first)).toBe("old\nold\n");
  made.scheduler.secrets = { "default/db": seal("new") };
  made.scheduler.publish();
  await eventually("it is taken", () => made.scheduler.heartbeats.at(-1)?.rev === made.scheduler.rev);
  await eventually("it is refused", () => {
    made.scheduler.announce(before);
    return agent.log.find((line) => line.includes('"desired.stale"'));
  });
  const second = place("cat /run/secrets/db; echo; echo $DB");
  made.scheduler.publish();
  await end(second);
  expect(await stdout(second)).toBe("new\nnew\n");
});
