/**
 * Another machine as far as the network goes: a network namespace of its own at the end of a veth pair, with a data
 * directory of its own. What it shares with this one (kernel, file systems) no test of joining looks at.
 */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { BERTH, environment, finish, ROOT, type Finished } from "./cli.ts";
import { eventually } from "./eventually.ts";
import { kill, naming } from "./processes.ts";

const ip = (...args: readonly string[]): string => execFileSync("ip", args, { encoding: "utf8", stdio: "pipe" });

/** An address pair that nothing on this machine uses. */
const freeNetwork = (): string => {
  const taken = `${ip("-4", "-o", "address")}${ip("-4", "route")}`;
  for (;;) {
    const [a = 0, b = 0] = randomBytes(2);
    const base = `198.19.${a}.${b & 0xfc}`;
    if (!taken.includes(`198.19.${a}.`)) return base.slice(0, base.lastIndexOf(".") + 1) + String(b & 0xfc);
  }
};

export class SecondMachine {
  readonly name = `berth-2-${randomBytes(3).toString("hex")}`;
  readonly link = `b2${randomBytes(3).toString("hex")}`;
  readonly dataDir = mkdtempSync("/tmp/berth-e2e-2-");
  /** Where the first machine is for it. */
  readonly gateway: string;
  private readonly others: string[] = [];

  constructor() {
    const base = freeNetwork();
    const last = Number(base.slice(base.lastIndexOf(".") + 1));
    const at = (offset: number): string => base.slice(0, base.lastIndexOf(".") + 1) + String(last + offset);
    this.gateway = at(1);
    ip("netns", "add", this.name);
    ip("link", "add", this.link, "type", "veth", "peer", "name", "eth0", "netns", this.name);
    ip("address", "add", `${this.gateway}/30`, "dev", this.link);
    ip("link", "set", this.link, "up");
    ip("-netns", this.name, "address", "add", `${at(2)}/30`, "dev", "eth0");
    ip("-netns", this.name, "link", "set", "lo", "up");
    ip("-netns", this.name, "link", "set", "eth0", "up");
  }

  /** One more directory, as if it were one more machine at the same place. */
  anotherDir(): string {
    const directory = mkdtempSync("/tmp/berth-e2e-2-");
    this.others.push(directory);
    return directory;
  }

  spawn(args: readonly string[], dataDir = this.dataDir): ChildProcess {
    const words = [`--net=/run/netns/${this.name}`, "--", process.execPath, BERTH, ...args];
    const env = environment({ BERTH_DATA_DIR: dataDir });
    return spawn("nsenter", words, { cwd: ROOT, env, stdio: ["pipe", "pipe", "pipe"] });
  }

  run(args: readonly string[], dataDir = this.dataDir): Promise<Finished> {
    return finish(this.spawn(args, dataDir), args, {});
  }

  async close(): Promise<string[]> {
    const left: string[] = [];
    for (const directory of [this.dataDir, ...this.others]) {
      const down = await this.run(["down", "--data-dir", directory]);
      if (down.code !== 0) left.push(`berth down: ${down.stderr}`);
      for (const one of naming(directory)) kill(one.pid, "SIGKILL");
      rmSync(directory, { recursive: true, force: true });
    }
    ip("netns", "delete", this.name);
    await eventually("its link is gone", () => !ip("-o", "link").includes(this.link), 15_000).catch(() => {
      ip("link", "delete", this.link);
    });
    return left;
  }
}
