/** Jobs from images of a registry: the registry is Debian's, the images are made by umoci and skopeo. */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { breakingDoor, pushImage, startRegistry, type TestRegistry } from "../packages/agent/src/testing/registry.ts";
import { Cluster, eventually } from "./support/index.ts";

const cluster = new Cluster();
const files = mkdtempSync("/tmp/berth-e2e-images-");
let registry: TestRegistry;

beforeAll(async () => {
  registry = await startRegistry(join(files, "registry"));
  const up = await cluster.up();
  await up.ready();
});
afterAll(async () => {
  await registry.close();
  rmSync(files, { recursive: true, force: true });
  expect(await cluster.close()).toEqual([]);
});

const job = (name: string, more: object): string => {
  const path = join(files, `${name}.json`);
  const resources = { cpu: { request: "20m" }, memory: { request: "32Mi" } };
  writeFileSync(path, JSON.stringify({ name, kind: "batch", restart: { on: "never" }, resources, ...more }));
  return path;
};

test("an image brings its program, its user, its directory and its environment", async () => {
  const shell = readFileSync("/bin/busybox");
  const script =
    '#!/bin/busybox sh\necho "$GREETING from $(/bin/busybox pwd), user $(/bin/busybox id -u), os $(/bin/busybox cat /etc/os-release)"\n';
  pushImage(files, `${registry.host}/hello:1`, {
    layers: [
      {
        "bin/busybox": shell,
        "etc/os-release": "ID=other",
        "etc/passwd": "root:x:0:0::/root:/bin/sh\napp:x:1234:1234::/srv:/bin/sh\n",
      },
      { "bin/hello": script, "srv/data": "" },
    ],
    config: [
      "--config.entrypoint=/bin/hello",
      "--config.env=GREETING=ahoy",
      "--config.workingdir=/srv",
      "--config.user=app",
    ],
  });
  const image = `oci://${registry.host}/hello:1`;
  const own = await cluster.cli(["run", "--wait", job("image-own", { image })]);
  expect(own.stdout).toContain("ahoy from /srv, user 1234, os ID=other");
  expect(own.code).toBe(0);

  const told = await cluster.cli([
    "run",
    "--wait",
    job("image-told", { image, command: ["/bin/busybox", "id", "-u"], user: "0" }),
  ]);
  expect(told.stdout.trim()).toBe("0");
});

test("while an image comes, whoever waits for the job sees its layers", async () => {
  pushImage(files, `${registry.host}/large:1`, {
    layers: [{ "bin/busybox": readFileSync("/bin/busybox") }, { "srv/large": randomBytes(6 * 2 ** 20) }],
  });
  const door = await breakingDoor(registry.host, 0, 0, 3_000);
  onTestFinished(door.close);
  const image = `oci://${door.host}/large:1`;
  const run = await cluster.cli(["run", "--wait", job("image-large", { image, command: ["/bin/busybox", "true"] })]);
  expect(run.code, run.stderr).toBe(0);
  // No terminal: a line for each layer and phase.
  expect(run.stderr).toMatch(/^\S+: [0-9a-f]{12} fetching \(6[.\d]* MiB\)$/m);

  const again = await cluster.cli(["image", "pull", image, "--quiet"]);
  expect([again.code, again.stdout + again.stderr]).toEqual([0, ""]);
  const quiet = job("image-quiet", { image, command: ["/bin/busybox", "echo", "only this"] });
  const said = await cluster.cli(["run", "--wait", "--quiet", quiet]);
  expect([said.code, said.stdout, said.stderr]).toEqual([
    0,
    "only this\n",
    expect.not.stringMatching(/fetching|running/),
  ]);
});

test("an image that is not there says so, and where it was looked for", async () => {
  const image = `oci://${registry.host}/nothing:1`;
  const { code, stdout, stderr } = await cluster.cli(["run", "--wait", job("image-missing", { image })]);
  expect(code).toBe(125);
  expect(stdout + stderr).toContain(`${registry.host} has no nothing:1`);
});

test("a name that is no name is refused at once", async () => {
  const { code, stderr } = await cluster.cli(["run", job("image-bad", { image: "oci://Nothing" })]);
  expect(code).not.toBe(0);
  expect(stderr).toContain('"oci://Nothing" names no repository: write oci://REGISTRY/REPOSITORY');
});

test("an image from a file: imported, listed, run, exported, pushed, checked, removed", async () => {
  const own = (...words: string[]) => cluster.cli(["image", ...words]);
  pushImage(files, `${registry.host}/filed:1`, {
    layers: [{ "bin/busybox": readFileSync("/bin/busybox") }, { "etc/motd": "from a file" }],
    config: ["--config.entrypoint=/bin/busybox", "--config.cmd=cat", "--config.cmd=/etc/motd"],
  });
  const archive = join(files, "filed.tar");
  rmSync(archive, { force: true });
  execFileSync("skopeo", [
    ...["--insecure-policy", "copy", "-q", "--src-tls-verify=false"],
    `docker://${registry.host}/filed:1`,
    `docker-archive:${archive}:filed:1`,
  ]);
  const imported = await own("import", archive, "oci://local/filed:1");
  expect(imported.stderr).toContain("oci://local/filed:1");
  expect(imported.code).toBe(0);
  const image = "oci://local/filed:1";
  expect((await own("ls", "-o", "name")).stdout).toContain(image);
  const run = await cluster.cli(["run", "--wait", job("image-filed", { image })]);
  expect(run.stdout).toContain("from a file");

  const out = join(files, "out.tar");
  expect((await own("export", image, out)).code).toBe(0);
  const target = `oci://${registry.host}/pushed:7`;
  const pushed = await own("push", image, target);
  expect(pushed.stderr).toContain(target);
  const inspected = execFileSync("skopeo", ["inspect", "--tls-verify=false", `docker://${registry.host}/pushed:7`]);
  expect(JSON.parse(inspected.toString()).Layers).toHaveLength(2);
  expect(execFileSync("skopeo", ["inspect", `oci-archive:${out}`]).toString()).toContain('"Layers"');

  const pulled = await own("pull", target);
  expect(pulled.code).toBe(0);
  expect(pulled.stderr).toContain(target);
  const again = await own("import", out, "oci://local/again:1");
  expect(again.stderr).toContain("oci://local/again:1");
  const checked = await own("check");
  expect(checked.stderr).toContain("all whole");
  expect(checked.code).toBe(0);
  expect((await own("rm", "oci://local/again:1")).code).toBe(0);
  const gone = await own("rm", "oci://local/again:1");
  expect(gone.code).toBe(66);
});

test("an archive that is none says what is wrong with it", async () => {
  const nonsense = join(files, "nonsense.tar");
  writeFileSync(nonsense, Buffer.alloc(4096, 7));
  const { code, stderr } = await cluster.cli(["image", "import", nonsense, "oci://local/nonsense:1"]);
  expect(code).toBe(1);
  expect(stderr).toContain("this is no tar archive");
});

const busybox = (name: string, script: string, more: object = {}): string =>
  job(name, { image: "builtin://busybox", command: ["sh", "-c", script], ...more });
const succeed = async (...args: string[]): Promise<string> => {
  const { code, stderr, stdout } = await cluster.cli(args);
  expect([args.join(" "), code, stderr]).toEqual([args.join(" "), 0, expect.any(String)]);
  return stdout + stderr;
};

test("what a task wrote is an image, an archive, and a layer that is listed and removed", async () => {
  await succeed("run", busybox("writer", "echo mine > /root/note"));
  await succeed("commit", "writer", "oci://local/default/writer:1");
  const out = join(files, "writer.tar");
  await succeed("export", "writer", out);
  expect(execFileSync("tar", ["-xOf", out, "root/note"]).toString()).toBe("mine\n");
  expect(await succeed("layer", "ls")).toContain("default/writer[0]");
  await succeed("layer", "rm", "writer");
  const again = await cluster.cli(["layer", "rm", "writer"]);
  expect([again.code, again.stderr]).toEqual([66, expect.stringContaining("Nothing of writer is kept")]);
  const run = job("reader", { image: "oci://local/default/writer:1", command: ["cat", "/root/note"] });
  expect(await succeed("run", run)).toContain("mine");
});

test("a snapshot is taken of one that stands still, the job goes back to it, and a clone starts there", async () => {
  const script = "touch /root/count; echo x >> /root/count; echo lines: $(wc -l < /root/count); exec sleep 1000";
  const web = busybox("web", script, { kind: "service", restart: undefined, timeouts: { stop: "0s" } });
  await succeed("run", web);
  const running = await cluster.cli(["snapshot", "create", "web", "one"]);
  expect([running.code, running.stderr]).toEqual([75, expect.stringContaining("pause it first")]);
  await succeed("pause", "web");
  await succeed("snapshot", "create", "web", "one");
  const twice = await cluster.cli(["snapshot", "create", "web", "one"]);
  expect([twice.code, twice.stderr]).toEqual([65, expect.stringContaining("is there already")]);
  await succeed("resume", "web");
  expect(await succeed("snapshot", "ls")).toMatch(/default\/web\[0\] +one /);

  expect(await succeed("snapshot", "clone", "web", "one", "web-test")).toContain("default/web-test accepted");
  await eventually("the clone says", async () => (await cluster.cli(["logs", "web-test"])).stdout.includes("lines: 2"));
  expect(await succeed("snapshot", "restore", "web", "one")).toContain("version 2 replaces");
  await eventually("it started there", async () => (await cluster.cli(["logs", "web"])).stdout.includes("lines: 2"));

  const used = await cluster.cli(["snapshot", "rm", "web", "one"]);
  expect([used.code, used.stderr]).toEqual([75, expect.stringContaining("starts from")]);
  await succeed("stop", "web");
  await succeed("stop", "web-test");
  // What is kept of them lies over it.
  for (const name of ["web", "web-test"]) {
    await eventually(`${name} has ended`, async () => (await cluster.cli(["layer", "rm", name])).code === 0);
  }
  await succeed("snapshot", "rm", "web", "one");
  const gone = await cluster.cli(["snapshot", "restore", "web", "one"]);
  expect([gone.code, gone.stderr]).toEqual([66, expect.stringContaining("no host that answers has a snapshot one")]);
});

test("a volume: exported, imported under another name, and refused when it wants out", async () => {
  const own = (...words: string[]) => cluster.cli(["volume", ...words]);
  const run = (name: string, volume: string, script: string) =>
    cluster.cli([
      ...["run", "--wait"],
      job(name, {
        image: "builtin://busybox",
        command: ["sh", "-c", script],
        volumes: [{ volume, target: "/data", size: "1Mi" }],
      }),
    ]);
  expect((await run("fills", "state", "echo kept > /data/file; chown 70:70 /data /data/file")).code).toBe(0);
  const file = join(files, "state.tar");
  const exported = await own("export", "state", file);
  expect(exported.stderr).toContain(`Wrote ${file}`);
  expect(execFileSync("tar", ["--numeric-owner", "-tvf", file], { encoding: "utf8" })).toMatch(/70\/70 .* file\n/);

  const imported = await own("import", "again", file, "--size", "1Mi");
  expect(imported.code, imported.stderr).toBe(0);
  const read = await run("reads", "again", "cat /data/file; stat -c %u /data");
  expect(read.stdout).toContain("kept\n70\n");
  expect((await own("import", "again", file)).stderr).toContain("there is a volume default/again already");

  execFileSync("tar", ["-cPf", file, "--transform", "s,^/etc/hostname,../evil,", "/etc/hostname"]);
  const refused = await own("import", "evil", file);
  expect(refused.code).toBe(65);
  expect(refused.stderr).toContain("../evil: its name leads upwards");
  await eventually("nothing is left of it", async () => !(await own("ls")).stdout.includes("evil"));
});
