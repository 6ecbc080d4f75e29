/** Jobs from images of a registry: the registry is Debian's, the images are made by umoci and skopeo. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { pushImage, startRegistry, type TestRegistry } from "../packages/agent/src/testing/registry.ts";
import { Cluster } from "./support/index.ts";

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
