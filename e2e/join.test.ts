/**
 * A second machine joins over the network: one line, TLS everywhere, and nobody else gets in. The second machine is a
 * network namespace at the end of a veth pair; everything it knows of the cluster is in the line.
 */
import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Cluster, eventually, freePort, kill, naming, SecondMachine } from "./support/index.ts";

const cluster = new Cluster();
const machine = new SecondMachine();
const joiners = new Set<ReturnType<SecondMachine["spawn"]>>();
let listenPort = 0;

beforeAll(async () => {
  listenPort = await freePort();
  await (await cluster.up("--listen", machine.gateway, "--listen-port", `${listenPort}`, "--network", "2G")).ready();
});
afterAll(async () => {
  for (const one of joiners) if (one.exitCode === null) one.kill("SIGTERM");
  await sleep(500);
  const left = [...(await machine.close()), ...(await cluster.close())];
  expect(left).toEqual([]);
});

/** What comes after `berth join`. */
const newLine = async (...more: readonly string[]): Promise<string> => {
  const text = await cluster.must(["token", "create", ...more]);
  const found = /^berth join (berth1\.\S+)\n$/.exec(text)?.[1];
  if (found === undefined) throw new Error(`not one line: ${text}`);
  return found;
};

interface Line {
  readonly urls: string[];
  readonly fingerprint: string;
  readonly token: string;
}
const open = (line: string): Line => {
  const [urls, fingerprint, token] = JSON.parse(Buffer.from(line.slice(7), "base64url").toString()) as [
    string[],
    string,
    string,
  ];
  return { urls, fingerprint, token };
};
const close = ({ urls, fingerprint, token }: Line): string =>
  `berth1.${Buffer.from(JSON.stringify([urls, fingerprint, token])).toString("base64url")}`;
const tokens = async (): Promise<{ id: string; state: string; usedBy: string | null }[]> =>
  (
    (await (await cluster.fetch("/v1/join-tokens")).json()) as {
      items: { id: string; state: string; usedBy: string | null }[];
    }
  ).items;
const stateOf = async (line: string) => (await tokens()).find(({ id }) => id === open(line).token.split(".")[0])?.state;
const hostState = async (id: string) => (await cluster.hosts()).find((host) => host.id === id)?.state;
const joinHere = (line: string, host: string, dataDir?: string) => {
  const child = machine.spawn(["join", line, "--host", host, "--network", "ingress=100M", "--foreground"], dataDir);
  let said = "";
  child.stderr?.on("data", (chunk: Buffer) => (said += chunk.toString()));
  joiners.add(child);
  return { child, said: () => said };
};

test("off loopback nothing is spoken in clear: the bus demands TLS, the API answers plain HTTP with nothing", async () => {
  const info = await new Promise<string>((resolve, reject) => {
    const socket = connect(cluster.natsPort, machine.gateway);
    socket.once("data", (data) => resolve(data.toString())).once("error", reject);
    setTimeout(() => reject(new Error("the bus says nothing")), 5_000).unref();
  });
  expect(JSON.parse(info.replace(/^INFO /, ""))).toMatchObject({ tls_required: true, auth_required: true });
  await expect(fetch(`http://${machine.gateway}:${listenPort}/livez`)).rejects.toThrow();
  for (const file of readdirSync(join(cluster.dataDir, "scheduler", "tls"))) {
    expect(statSync(join(cluster.dataDir, "scheduler", "tls", file)).mode & 0o777, file).toBe(0o600);
  }
});

test("a line whose fingerprint is not the cluster's is refused before anything is sent", async () => {
  const line = await newLine();
  const wrong = close({ ...open(line), fingerprint: randomBytes(32).toString("hex") });
  const done = await machine.run(["join", wrong, "--host", "liar", "--foreground"], machine.anotherDir());
  expect(done.code).toBe(77);
  expect(done.stderr).toContain("nothing was sent");
  expect(await stateOf(line)).toBe("open");
});

test("a token that is expired, revoked, for another host, or not known lets nobody in", async () => {
  const refused = async (line: string, host: string, why: RegExp) => {
    const done = await machine.run(["join", line, "--host", host, "--foreground"], machine.anotherDir());
    expect(done.code, done.stderr).toBe(77);
    expect(done.stderr).toMatch(why);
  };
  const short = await newLine("--ttl", "1s");
  await sleep(1_100);
  const [other, revoked, line] = await Promise.all([newLine("--host", "other"), newLine(), newLine()]);
  await cluster.must(["token", "revoke", open(revoked).token.split(".")[0] ?? ""]);
  const guessed = `${open(line).token.split(".")[0]}.${randomBytes(32).toString("base64url")}`;
  await Promise.all([
    refused(short, "late", /expired/),
    refused(other, "this-one", /for host other/),
    refused(revoked, "unwanted", /not known/),
    refused(close({ ...open(line), token: guessed }), "guesser", /not known/),
  ]);
  expect((await cluster.hosts()).map((host) => host.id)).not.toContain("guesser");
});

test("a machine that is killed again and again while it joins is in the end one host, with the same line", async () => {
  const line = await newLine();
  for (const waitMs of [200, 500, 900]) {
    const { child } = joinHere(line, "second");
    await sleep(waitMs);
    // nsenter has become the program.
    kill(child.pid ?? -1, "SIGKILL");
    for (const one of naming(machine.dataDir)) kill(one.pid, "SIGKILL");
  }
  const { said } = joinHere(line, "second");
  await eventually("the host is ready", async () => (await hostState("second")) === "ready");
  expect(said()).toContain("host second of cluster berth");
  expect(await stateOf(line)).toBe("used");
  // What each is told of its link: the first by `berth up`.
  const [second, first] = (await cluster.hosts()).toSorted(
    (a, b) => Number(b.id === "second") - Number(a.id === "second"),
  );
  expect(first?.capacity.allocatable.more).toMatchObject({ netIngressBits: 2e9, netEgressBits: 2e9 });
  expect(second?.capacity.allocatable.more).toMatchObject({ netIngressBits: 1e8 });
  const joined = join(machine.dataDir, "hosts", "second", "joined.json");
  expect(statSync(joined).mode & 0o777).toBe(0o600);
  expect(statSync(join(machine.dataDir, "hosts", "second", "identity.seed")).mode & 0o777).toBe(0o600);
});

test("the secret of a token is nowhere in the cluster's files", async () => {
  const line = await newLine();
  const [, secret = ""] = open(line).token.split(".");
  const seen: string[] = [];
  const look = (directory: string): void => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) look(path);
      else if (entry.isFile() && readFileSync(path).includes(secret)) seen.push(path);
    }
  };
  look(join(cluster.dataDir, "scheduler"));
  look(join(cluster.dataDir, "logs"));
  expect(seen).toEqual([]);
});

test("it runs work, and its output comes back over the network", async () => {
  await cluster.submit({
    name: "far",
    kind: "batch",
    image: "builtin://busybox",
    command: ["echo", "from afar"],
    placement: { require: ['host.id == "second"'] },
  });
  const job = await cluster.finished("far");
  expect(job.exitCode).toBe(0);
  const [allocation] = await cluster.allocations("&job=far");
  expect(allocation?.hostId).toBe("second");
  expect(await cluster.must(["logs", "far"])).toContain("from afar");
});

test("the line that was used lets no other machine in, nor the same name with another key", async () => {
  const [used] = (await tokens()).filter((token) => token.usedBy === "second");
  expect(used).toBeDefined();
  const line = await newLine("--host", "third");
  const first = joinHere(line, "third", machine.anotherDir());
  await eventually("the third host is ready", async () => (await hostState("third")) === "ready");
  const attempts = ["third", "fourth"].map((host) =>
    machine.run(["join", line, "--host", host, "--foreground"], machine.anotherDir()),
  );
  for (const done of await Promise.all(attempts)) {
    expect(done.code, done.stderr).toBe(77);
    expect(done.stderr).toMatch(/used already/);
  }
  first.child.kill("SIGTERM");
  const again = await cluster.cli(["token", "create", "--host", "third"]);
  expect(again.code).not.toBe(0);
});

test("a removed host is cut off at once and does not come back", async () => {
  await cluster.must(["host", "remove", "second", "--force"]);
  const log = (): string => readFileSync(join(machine.dataDir, "logs", "agent-second.log"), "utf8");
  await eventually("its agent has lost the line", () => /"up":false/.test(log()));
  await sleep(3_000);
  expect(await hostState("second")).toBeUndefined();
  expect(log().lastIndexOf('"up":true')).toBeLessThan(log().lastIndexOf('"up":false'));
  expect(log()).toMatch(/AUTHORIZATION_VIOLATION/);
  expect(existsSync(join(machine.dataDir, "hosts", "second", "joined.json"))).toBe(true);
});
