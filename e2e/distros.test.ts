/**
 * Different distributions on one host, each with its own init. Those of Debian are built here, by `berth image build` from
 * the mirror that this machine's own apt is told to use, which takes minutes: so this is a command of its own,
 * `pnpm test:distros`.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Cluster } from "./support/index.ts";
import { busyboxArchive, machinesOf } from "./support/machines.ts";

const cluster = new Cluster();
const files = mkdtempSync("/tmp/berth-e2e-distros-");
const MINUTES = 60_000;
const { importAs, inside, run, stopped } = machinesOf(cluster, files);
const began = performance.now();
/** How long each step took, for whoever reads the run. */
const tell = (what: string): void =>
  void process.stderr.write(`${((performance.now() - began) / 1000).toFixed(0)} s: ${what}\n`);

/** How its last attempt ended: code 0 when its init went down by itself, a signal when it was killed. */
const endOf = async (name: string): Promise<string> => {
  const [last] = (await cluster.allocations(`&job=${name}`)).toSorted((one, two) => two.attempt - one.attempt);
  return `${last?.exit?.cause} ${last?.exit?.code} ${last?.exit?.signal}`;
};

const MACHINES = [
  {
    name: "tiny",
    image: "oci://local/tiny:1",
    init: "init",
    release: "ID=tiny",
    booted: "booted by init",
    down: "init shuts down",
  },
  {
    name: "twelve",
    image: "distro://debian/12",
    init: "systemd",
    release: 'VERSION_ID="12"',
    booted: "Reached target",
    down: "Halting system",
  },
  {
    name: "eleven",
    image: "distro://debian/11",
    init: "systemd",
    release: 'VERSION_ID="11"',
    booted: "Reached target",
    down: "Final Step",
  },
  {
    name: "thirteen",
    image: "distro://debian/13/sysvinit",
    init: "init",
    release: 'VERSION_ID="13"',
    booted: "Entering runlevel: 2",
    down: "processes ended",
  },
  {
    name: "openrc",
    image: "distro://debian/13/openrc",
    init: "init",
    release: 'VERSION_ID="13"',
    booted: "OpenRC",
    down: "processes ended",
  },
] as const;

describe.runIf(process.env["BERTH_DISTROS"] === "1")("distributions side by side", () => {
  beforeAll(async () => {
    const up = await cluster.up();
    await up.ready();
  });
  afterAll(async () => {
    rmSync(files, { recursive: true, force: true });
    expect(await cluster.close()).toEqual([]);
  });

  test(
    "Debian 11 and 12 with systemd, Debian 13 with sysvinit and with openrc, and busybox: each with its own init",
    { timeout: 40 * MINUTES },
    async () => {
      /* What nobody has built, says how. */
      const job = join(files, "unbuilt.json");
      writeFileSync(job, JSON.stringify({ name: "unbuilt", kind: "batch", image: "distro://debian/12/openrc" }));
      const unbuilt = await cluster.cli(["run", "--wait", job]);
      expect(unbuilt.stdout + unbuilt.stderr).toContain("berth image build distro://debian/12/openrc");

      await importAs(busyboxArchive(join(files, "busybox")), "oci://local/tiny:1");
      for (const { image } of MACHINES) {
        if (!image.startsWith("distro://")) continue;
        const { code, stderr, stdout } = await cluster.cli(["image", "build", image], { timeoutMs: 15 * MINUTES });
        expect(code, stdout + stderr).toBe(0);
        tell(`built ${image}`);
      }
      for (const { image, name } of MACHINES) await run(name, image);
      tell("all are started");
      for (const { booted, name } of MACHINES) {
        await expect
          .poll(async () => (await cluster.cli(["logs", `${name}[0]`])).stdout, { timeout: 2 * MINUTES })
          .toContain(booted);
        tell(`${name} has booted`);
      }
      await expect
        .poll(() => inside("twelve", "systemctl", "is-active", "multi-user.target"), { timeout: MINUTES })
        .toBe("active");
      await expect
        .poll(() => inside("eleven", "systemctl", "is-active", "multi-user.target"), { timeout: MINUTES })
        .toBe("active");

      const kernels = new Set<string>();
      for (const { init, name, release } of MACHINES) {
        kernels.add(await inside(name, "cat", "/proc/version"));
        expect(await inside(name, "cat", "/etc/os-release")).toContain(release);
        expect(await inside(name, "cat", "/proc/1/comm")).toBe(init);
      }
      expect([...kernels]).toEqual([readFileSync("/proc/version", "utf8").trim()]);
      expect(await inside("openrc", "rc-status", "--runlevel")).toBe("default");

      for (const { down, name } of MACHINES) {
        await stopped(name, down);
        expect(await endOf(name), name).toBe("stopped 0 null");
        tell(`${name} is down`);
      }
    },
  );
});
