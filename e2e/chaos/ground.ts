/**
 * The machines that a cluster of several schedulers and servers needs, as far as faults can tell: each has a network
 * namespace of its own on one bridge, a small file system of its own (an ext4 in a file), and a clock of its own for what
 * is linked with the C library (libfaketime; CLOCK_MONOTONIC stays the kernel's, as a jump of a wall clock leaves it).
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { inNamespace, makeNetwork } from "../../packages/cli/src/manager/network.ts";

const DISK_BYTES = 192 * 2 ** 20;
/** Of each such while a disk is slow nothing is written for the most part. */
const SLOW = { heldMs: 400, freeMs: 100 };

const run = (command: string, ...args: readonly string[]): string =>
  execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout: 30_000 });

/** Debian's library for several threads, wherever its architecture puts it. */
const findFakeTime = (): string | undefined => {
  for (const triplet of existsSync("/usr/lib") ? readdirSync("/usr/lib") : []) {
    const path = `/usr/lib/${triplet}/faketime/libfaketimeMT.so.1`;
    if (existsSync(path)) return path;
  }
  return undefined;
};

export interface Machine {
  readonly name: string;
  readonly address: string;
  /** On a disk of its own. */
  readonly directory: string;
  /** The words before a command that run it there. */
  readonly words: readonly string[];
  /** What gives a program the machine's clock. */
  readonly env: Readonly<Record<string, string>>;
  /** Nothing reaches it and nothing leaves it; containers' own namespaces are not touched. */
  readonly link: (state: "up" | "down") => void;
  /** Drops what comes from or goes to these ports of others, without a word. Undoes it by the function that it returns. */
  readonly drop: (port: number) => () => void;
  /** Takes every byte that is left, until the function that it returns is called. */
  readonly fillDisk: () => () => void;
  /** Writes wait most of the time, until the function that it returns is called. */
  readonly slowDisk: () => () => Promise<void>;
  /** Moves its wall clock against the true one. */
  readonly setClock: (offsetS: number) => void;
}

export interface Ground {
  /** Where all machines find this one. */
  readonly gateway: string;
  readonly tag: string;
  readonly machine: (name: string) => Machine;
  readonly hasClocks: boolean;
  /** Disks; the network is `berth down`'s. */
  readonly close: () => void;
}

/** `at`: where each machine has its directory. */
export const makeGround = async (dataDir: string, at: ReadonlyMap<string, string>): Promise<Ground> => {
  const fakeTime = findFakeTime();
  const plan = await makeNetwork(dataDir, [...at.keys()]);
  const disks = join(dataDir, "disks");
  mkdirSync(disks);

  const mount = (name: string, directory: string): void => {
    const image = join(disks, `${name}.img`);
    writeFileSync(image, "");
    truncateSync(image, DISK_BYTES);
    run("mkfs.ext4", "-q", "-F", "-m", "0", image);
    mkdirSync(directory, { recursive: true });
    run("mount", "-o", "loop", image, directory);
  };

  const machines = new Map<string, Machine>();
  for (const { id: name, namespace, link, address } of plan.hosts) {
    const directory = at.get(name) ?? "";
    mount(name, directory);
    const clock = join(dataDir, `${name}.clock`);
    const filler = join(directory, ".filler");
    writeFileSync(clock, "+0\n");
    let isDiskStruck = false;
    /** One thing at a time befalls a disk: filling one that is frozen would wait, here, for whoever is to let it go. */
    const takeDisk = (): (() => void) => {
      if (isDiskStruck) throw new Error(`something has befallen the disk of ${name} already`);
      isDiskStruck = true;
      return () => (isDiskStruck = false);
    };
    const nft = (...words: string[]): string => run("nsenter", `--net=/run/netns/${namespace}`, "--", "nft", ...words);
    machines.set(name, {
      name,
      address,
      directory,
      words: inNamespace(namespace),
      env:
        fakeTime === undefined
          ? {}
          : {
              LD_PRELOAD: fakeTime,
              FAKETIME_TIMESTAMP_FILE: clock,
              FAKETIME_CACHE_DURATION: "1",
              DONT_FAKE_MONOTONIC: "1",
              NO_FAKE_STAT: "1",
            },
      link: (state) => void run("ip", "link", "set", link, state),
      drop: (port) => {
        const table = `drop${port}`;
        nft("add", "table", "inet", table);
        for (const hook of ["input", "output"]) {
          nft("add", "chain", "inet", table, hook, `{ type filter hook ${hook} priority 0; }`);
          for (const side of ["sport", "dport"])
            nft("add", "rule", "inet", table, hook, "tcp", side, String(port), "drop");
        }
        return () => void nft("delete", "table", "inet", table);
      },
      fillDisk: () => {
        const giveBack = takeDisk();
        // In smaller and smaller pieces, each of which must fit as a whole.
        for (let size = DISK_BYTES, end = 0; size >= 4096; size = Math.floor(size / 2)) {
          try {
            run("fallocate", "-o", String(end), "-l", String(size), filler);
            end += size;
          } catch {
            // Less fits.
          }
        }
        return () => {
          rmSync(filler, { force: true });
          giveBack();
        };
      },
      slowDisk: () => {
        const giveBack = takeDisk();
        let going = true;
        const loop = (async () => {
          while (going) {
            run("fsfreeze", "--freeze", directory);
            await sleep(SLOW.heldMs);
            run("fsfreeze", "--unfreeze", directory);
            await sleep(SLOW.freeMs);
          }
        })();
        return async () => {
          going = false;
          await loop;
          giveBack();
        };
      },
      setClock: (offsetS) => writeFileSync(clock, `${offsetS < 0 ? "-" : "+"}${Math.abs(offsetS)}\n`),
    });
  }
  return {
    gateway: plan.gateway,
    tag: plan.tag,
    hasClocks: fakeTime !== undefined,
    machine: (name) => {
      const found = machines.get(name);
      if (found === undefined) throw new Error(`there is no machine ${name}`);
      return found;
    },
    close: () => {
      for (const { directory } of machines.values()) {
        // What mounted it may still be on its way out.
        if (readFileSync("/proc/self/mountinfo", "utf8").includes(` ${directory} `)) run("umount", "-l", directory);
      }
      rmSync(disks, { recursive: true, force: true });
    },
  };
};

/** A program that is started again whenever it ends, as a service manager does it. */
export interface Kept {
  readonly name: string;
  readonly pid: () => number;
  readonly kill: () => void;
  /** SIGTERM; started again once it has ended. */
  readonly stop: () => void;
  readonly pause: () => void;
  readonly resume: () => void;
  /** Ends it for good; resolves when it is gone. */
  readonly end: () => Promise<void>;
  readonly start: () => void;
  /** What it has said that is not in its log. */
  readonly output: () => string;
}

export interface KeptOptions {
  readonly name: string;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly logFd: number;
  /** It ended though nobody had killed it. */
  readonly onOwnEnd: (name: string, code: number | string) => void;
  readonly againAfterMs: number;
}

export const keep = (options: KeptOptions): Kept => {
  const [command = "", ...args] = options.command;
  let wanted = false;
  let struck = false;
  let output = "";
  let child: ReturnType<typeof spawn> | undefined;
  let ended: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;

  const start = (): void => {
    wanted = true;
    struck = false;
    output = "";
    const mine = spawn(command, args, {
      cwd: options.cwd,
      env: options.env,
      stdio: ["ignore", "pipe", options.logFd],
    });
    child = mine;
    mine.stdout?.on("data", (chunk: Buffer) => (output += chunk.toString()));
    ended = new Promise((resolve) => {
      mine.once("exit", (code, signal) => {
        if (!struck) options.onOwnEnd(options.name, signal ?? code ?? "unknown");
        if (wanted) timer = setTimeout(start, options.againAfterMs);
        resolve();
      });
    });
  };
  const signal = (name: NodeJS.Signals): void => void child?.kill(name);
  return {
    name: options.name,
    pid: () => child?.pid ?? -1,
    start,
    kill: () => {
      struck = true;
      signal("SIGKILL");
    },
    stop: () => {
      struck = true;
      signal("SIGTERM");
    },
    pause: () => signal("SIGSTOP"),
    resume: () => signal("SIGCONT"),
    end: async () => {
      wanted = false;
      clearTimeout(timer);
      struck = true;
      signal("SIGKILL");
      await ended;
    },
    output: () => output,
  };
};
