/** Other runtimes, as far as they are installed. Each works in directories and a cgroup of the benchmark's own. */
import { spawnSync } from "node:child_process";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram, type Absent, type Contestant } from "./contestant.ts";
import { startFloor } from "./floor.ts";
import { bwrapPeer } from "./peers/bwrap.ts";
import { dockerPeer, podmanPeer } from "./peers/engines.ts";
import { filterProgram } from "./peers/filter.ts";
import { lxcPeer } from "./peers/lxc.ts";
import { ociPeer } from "./peers/oci.ts";
import type { Place } from "./place.ts";

const DEBIAN: Readonly<Record<string, string>> = {
  crun: "crun",
  runc: "runc",
  "lxc-start": "lxc",
  bwrap: "bubblewrap",
  podman: "podman",
  dockerd: "docker.io",
};

export interface Peers {
  readonly present: readonly Contestant[];
  readonly absent: readonly Absent[];
  close(): Promise<void>;
}

/** Asks apt-get for the missing ones; what cannot be had stays missing, and its row says so. */
export const installPeers = (): void => {
  const missing = Object.entries(DEBIAN).flatMap(([program, debian]) =>
    findProgram(program) === undefined ? [debian] : [],
  );
  if (missing.length === 0) return;
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  spawnSync("apt-get", ["install", "-y", "-q", "--no-install-recommends", ...missing], {
    env,
    stdio: ["ignore", 2, 2],
  });
};

export const openPeers = async (place: Place): Promise<Peers> => {
  const filter = join(place.directory, "filter.bpf");
  writeFileSync(filter, filterProgram());
  const file = openSync(filter, "r");
  const launcher = startFloor(place, { file });
  const v1 = startFloor(place, { v1Only: true });
  /* lxc asks newuidmap(1) where it finds one, which knows no ranges of root. */
  const alone = startFloor(place, { path: place.directory });
  closeSync(file);
  const all = [
    bwrapPeer(place, launcher),
    ociPeer(place, v1, "crun"),
    ociPeer(place, launcher, "runc"),
    lxcPeer(place, alone),
    await podmanPeer(place, v1),
    await dockerPeer(place, launcher),
  ];
  const present: Contestant[] = [];
  const absent: Absent[] = [];
  for (const one of all) {
    if ("absent" in one) absent.push(one);
    else {
      try {
        await one.start();
        present.push(one);
      } catch (cause) {
        absent.push({ name: one.name, absent: (cause instanceof Error ? cause.message : String(cause)).slice(0, 200) });
        await one.close();
      }
    }
  }
  return {
    present,
    absent,
    close: async () => {
      await Promise.allSettled(present.map((one) => one.close()));
      await launcher.close();
      await v1.close();
      await alone.close();
    },
  };
};
