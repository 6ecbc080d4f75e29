/** Three schedulers, three nats-servers and three hosts as what a run strikes: how each fault is done there, and undone. */
import type { Fault, Possible } from "./schedule.ts";
import { HOSTS, NATS, ROUTE_PORT, SCHEDULERS, startFleet, type Fleet } from "./fleet.ts";
import type { LetGo, World } from "./world.ts";

const EXIT_BUG = 70;
/** See chaos-scheduler.mjs. */
const EXIT_WRONG = 71;
const LOOK_MS = 2_000;
const ALL = [...NATS, ...SCHEDULERS, ...HOSTS];

const POSSIBLE: readonly Possible[] = [
  { kind: "kill", on: HOSTS, weight: 2 },
  { kind: "kill", on: [...SCHEDULERS, "leader"], weight: 3 },
  { kind: "kill", on: NATS, weight: 2 },
  { kind: "pause", on: HOSTS, weight: 2 },
  { kind: "pause", on: [...SCHEDULERS, "leader"], weight: 3, longestMs: 12_000 },
  { kind: "pause", on: NATS, weight: 2, longestMs: 8_000 },
  { kind: "partition", on: HOSTS, weight: 2 },
  { kind: "partition", on: [...SCHEDULERS, "leader"], weight: 2, longestMs: 12_000 },
  { kind: "partition", on: NATS, weight: 2, longestMs: 12_000 },
  { kind: "split", on: NATS, weight: 1, longestMs: 12_000 },
  { kind: "slow-disk", on: ALL, weight: 2, longestMs: 8_000 },
  { kind: "disk-full", on: ALL, weight: 2, longestMs: 8_000 },
  { kind: "snapshot", on: SCHEDULERS, weight: 1 },
  { kind: "restart", on: ["everything"], weight: 1 },
];
const CLOCKS: Possible = { kind: "clock", on: [...SCHEDULERS, ...HOSTS], weight: 2 };

const strikeOn = async (fleet: Fleet, { kind, on: named, byS }: Fault): Promise<LetGo | undefined> => {
  const on = named === "leader" ? (await fleet.leader(LOOK_MS)).name : named;
  if (kind === "restart") {
    for (const one of fleet.all) one.kill();
    return undefined;
  }
  const machine = fleet.ground.machine(on);
  const kept = fleet.kept(on);
  switch (kind) {
    case "kill":
      kept.kill();
      return undefined;
    case "pause":
      kept.pause();
      return kept.resume;
    case "partition":
      machine.link("down");
      return () => machine.link("up");
    case "split":
      return machine.drop(ROUTE_PORT);
    case "slow-disk":
      return machine.slowDisk();
    case "disk-full": {
      const empty = machine.fillDisk();
      return () => {
        empty();
        // A server whose disk was full has given up its store; somebody starts it again.
        if (on.startsWith("n")) kept.kill();
      };
    }
    case "clock":
      machine.setClock(byS);
      return () => machine.setClock(0);
    case "snapshot":
      await fleet.tail.damageSnapshot();
      kept.kill();
      return undefined;
  }
};

export const several = async (say: (line: string) => void, replicas: number): Promise<World> => {
  const wrong: string[] = [];
  const fleet = await startFleet({
    say,
    replicas,
    onOwnEnd: (name, code, lastWords) => {
      say(`  ${name} ended with ${code}: ${lastWords.slice(-300)}`);
      // A start that cannot be is said in a sentence (1); one that was ready and ends, or that cannot read the log, is wrong.
      if (!name.startsWith("s")) return;
      if (code === EXIT_BUG || code === EXIT_WRONG) wrong.push(`${name} ended by itself: ${lastWords}`);
    },
  });
  return {
    dataDir: fleet.dataDir,
    hosts: HOSTS.length,
    instances: fleet.instances,
    possible: fleet.ground.hasClocks ? [...POSSIBLE, CLOCKS] : POSSIBLE,
    tail: fleet.tail,
    strike: (fault) => strikeOn(fleet, fault),
    wrong: () => wrong,
    close: fleet.close,
  };
};
