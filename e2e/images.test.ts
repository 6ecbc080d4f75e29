/** Jobs from images of a registry: the registry is Debian's, the images are made by umoci and skopeo. */
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
