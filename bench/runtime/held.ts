/**
 * Many containers at once: what an idle one takes of the machine's memory, and whether thousands start and go away
 * again. Memory is MemAvailable, so that the kernel's part counts; other work on the machine blurs it.
 */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { figure, type Figure } from "./figures.ts";
import { startFloor } from "./floor.ts";
import { startHolder } from "./holder.ts";
import type { Place } from "./place.ts";

const MIB = 1024 * 1024;
const SETTLE_MS = 1500;
const HELD = 500;

const availableBytes = async (): Promise<number> => {
  await sleep(SETTLE_MS);
  return Number(/MemAvailable:\s+(\d+) kB/.exec(readFileSync("/proc/meminfo", "utf8"))?.[1]) * 1024;
};

/** Proportional memory of each container's own processes, supervisor and init; shared pages are counted once. */
const ownPssBytes = (containers: number): number => {
  let sum = 0;
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      if (!readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("berth-supervis")) continue;
      sum += Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1]) * 1024;
    } catch {
      /* It has just ended. */
    }
  }
  return sum / containers;
};

export const idleMemory = async (place: Place): Promise<Figure[]> => {
  const floor = startFloor(place, { program: ["/bin/sleep", "100000"] });
  const holder = startHolder(place);
  try {
    for (let i = 0; i < 20; i += 1) await floor.hold();
    await floor.release();
    const beforeFloor = await availableBytes();
    for (let i = 0; i < HELD; i += 1) await floor.hold();
    const floorBytes = (beforeFloor - (await availableBytes())) / HELD;
    await floor.release();
    const before = await availableBytes();
    const done = await holder.ask("hold", { count: HELD });
    const bytes = (before - (await availableBytes())) / HELD;
    const pss = ownPssBytes(HELD);
    const released = await holder.ask("release");
    return [
      figure(`memory: whole machine per idle container, floor, ${HELD} held`, floorBytes / MIB, "MiB"),
      figure(`memory: whole machine per idle container, berth, ${HELD} held`, bytes / MIB, "MiB", { atMost: 0.75 }),
      figure("memory: supervisor and init of one container, PSS", pss / 1024, "KiB", { atMost: 150 }),
      figure(`memory: process that holds ${HELD} containers, RSS`, Number(done["rssBytes"]) / MIB, "MiB", {
        atMost: 80,
      }),
      figure(`memory: ${HELD} killed after`, Number(released["elapsedMs"]), "ms"),
    ];
  } finally {
    await holder.close();
    await floor.close();
  }
};

/** More than a bridge has ports for: each with a routed link and an address of its own. */
const LINKS = 1200;

export const manyLinks = async (place: Place): Promise<Figure[]> => {
  const holder = startHolder(place);
  try {
    const network = Array.from({ length: LINKS }, (_, i) => ({
      kind: "routed",
      address: `10.234.${(i >> 8) + 1}.${i & 255}`,
    }));
    const done = await holder.ask("hold", { count: LINKS, network });
    const links = readdirSync("/sys/class/net").filter((name) => /^be[0-9a-f]{13}$/.test(name)).length;
    const released = await holder.ask("release");
    return [
      figure("links: containers with a network held at once", Number(released["killed"]), "containers", {
        atLeast: 1024,
        note: `${links} links`,
      }),
      figure("links: started per second", LINKS / (Number(done["elapsedMs"]) / 1000), "1/s"),
      figure("links: all killed after", Number(released["elapsedMs"]), "ms"),
    ];
  } finally {
    await holder.close();
  }
};

export const manyHeld = async (place: Place, count: number): Promise<Figure[]> => {
  const holder = startHolder(place);
  try {
    const before = await availableBytes();
    const done = await holder.ask("hold", { count });
    const bytes = (before - (await availableBytes())) / count;
    const released = await holder.ask("release");
    const killed = Number(released["killed"]);
    return [
      figure("hold: containers held at once", killed, "containers", { atLeast: count }),
      figure("hold: started per second", count / (Number(done["elapsedMs"]) / 1000), "1/s"),
      figure("hold: whole machine per container", bytes / MIB, "MiB"),
      figure("hold: all killed after", Number(released["elapsedMs"]), "ms"),
      figure("hold: all removed after", Number(released["removedMs"]), "ms"),
      figure("hold: process that holds them, RSS", Number(done["rssBytes"]) / MIB, "MiB"),
    ];
  } finally {
    await holder.close();
  }
};
