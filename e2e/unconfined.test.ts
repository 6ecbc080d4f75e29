/** The right to do without the filter of system calls, through the built programs: refused, given, used, taken back. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { Cluster } from "./support/index.ts";

const cluster = new Cluster();
const files = mkdtempSync("/tmp/berth-e2e-unconfined-");
afterAll(async () => {
  rmSync(files, { recursive: true, force: true });
  expect(await cluster.close()).toEqual([]);
});

/** What the kernel says of its filter: 2 with one, 0 without (proc_pid_status(5)). */
const job = (project: string, container?: object): string => {
  const file = join(files, `${project}.json`);
  const command = ["sh", "-c", "grep ^Seccomp: /proc/self/status"];
  const limits = { cpu: { request: "20m" }, memory: { request: "16Mi" } };
  const document = { name: "looks", project, kind: "batch", image: "builtin://busybox", command, resources: limits };
  writeFileSync(file, JSON.stringify({ ...document, ...(container !== undefined && { container }) }));
  return file;
};
const UNCONFINED = { seccomp: "unconfined" };

test("a job does without the filter once an admin lets its project and the host lets it, and no longer than that", async () => {
  await (await cluster.up("--unconfined-seccomp")).ready();
  const refused = await cluster.cli(["run", "--wait", job("lab", UNCONFINED)]);
  expect(refused).toMatchObject({ code: 65 });
  expect(refused.stderr).toContain("berth project create lab --unconfined-seccomp");

  await cluster.must(["project", "create", "lab", "--unconfined-seccomp"]);
  const ran = await cluster.cli(["run", "--wait", job("lab", UNCONFINED)]);
  expect([ran.code, ran.stdout], ran.stderr).toEqual([0, expect.stringMatching(/Seccomp:\s+0$/m)]);
  const beside = await cluster.cli(["run", "--wait", job("other")]);
  expect([beside.code, beside.stdout], beside.stderr).toEqual([0, expect.stringMatching(/Seccomp:\s+2$/m)]);

  await cluster.must(["project", "set", "lab", "--no-unconfined-seccomp"]);
  expect((await cluster.cli(["run", "--wait", job("lab", UNCONFINED)])).stderr).toContain(
    "berth project set lab --unconfined-seccomp",
  );
});
