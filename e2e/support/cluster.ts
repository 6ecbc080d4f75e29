/**
 * A cluster of its own for one test file: own data directory, own ports, started with `berth up`, and afterwards not a
 * process, mount, cgroup, link or namespace left behind.
 */
import { createHash } from "node:crypto";
import { execFileSync, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import type { AllocationView, HostView, JobView } from "@berth/schema";
import { runBerth, spawnBerth, type Finished, type RunOptions } from "./cli.ts";
import { eventually } from "./eventually.ts";
import { isAlive, kill, naming, processes, type Process } from "./processes.ts";

export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() =>
        typeof address === "object" && address !== null ? resolve(address.port) : reject(new Error("no port")),
      );
    });
  });

/** One `berth up` in the foreground. */
export class Up {
  readonly child: ChildProcess;
  stdout = "";
  stderr = "";
  private ended: number | string | undefined;

  constructor(child: ChildProcess) {
    this.child = child;
    child.stdout?.on("data", (chunk: Buffer) => (this.stdout += chunk.toString()));
    child.stderr?.on("data", (chunk: Buffer) => (this.stderr += chunk.toString()));
    child.once("close", (code, signal) => (this.ended = signal ?? code ?? "unknown"));
  }

  get pid(): number {
    return this.child.pid ?? -1;
  }

  /** The login link: the last thing that a start prints. */
  ready(): Promise<string> {
    return eventually(
      "berth up is ready",
      () => {
        if (this.ended !== undefined) throw new Error(`it ended with ${this.ended}: ${this.stderr}`);
        return /https?:\/\/\S+\/login\?\S+/.exec(this.stdout)?.[0];
      },
      120_000,
    );
  }

  end(): Promise<number | string> {
    return eventually("berth up has ended", () => this.ended, 60_000);
  }
}

export class Cluster {
  readonly dataDir = mkdtempSync("/tmp/berth-e2e-");
  readonly tag = createHash("sha256").update(this.dataDir).digest("hex").slice(0, 6);
  private readonly ups: Up[] = [];
  private readonly cgroupsSeen = new Set<string>();
  private ports: { readonly api: number; readonly nats: number } | undefined;

  /** Starts `berth up`; `args` are added to the ports and the directory. */
  async up(...args: readonly string[]): Promise<Up> {
    this.ports ??= { api: await freePort(), nats: await freePort() };
    const { api, nats } = this.ports;
    const child = spawnBerth([
      "up",
      "--data-dir",
      this.dataDir,
      "--api-port",
      `${api}`,
      "--nats-port",
      `${nats}`,
      ...args,
    ]);
    const up = new Up(child);
    this.ups.push(up);
    return up;
  }

  get apiUrl(): string {
    return `http://127.0.0.1:${this.ports?.api ?? 0}`;
  }

  get natsPort(): number {
    return this.ports?.nats ?? 0;
  }

  cli(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
    return runBerth(args, { ...options, env: { BERTH_DATA_DIR: this.dataDir, ...options.env } });
  }

  /** As `cli`, and it must succeed. */
  async must(args: readonly string[], options: RunOptions = {}): Promise<string> {
    const done = await this.cli(args, options);
    if (done.code !== 0) throw new Error(`berth ${args.join(" ")}: exit ${done.code}\n${done.stdout}${done.stderr}`);
    return done.stdout;
  }

  get token(): string {
    const file = JSON.parse(readFileSync(join(this.dataDir, "client.json"), "utf8")) as { readonly token: string };
    return file.token;
  }

  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (!headers.has("authorization")) headers.set("authorization", `Bearer ${this.token}`);
    return fetch(new URL(path, this.apiUrl), { ...init, headers });
  }

  private async get<T>(path: string): Promise<T> {
    const answer = await this.fetch(path);
    if (!answer.ok) throw new Error(`GET ${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as T;
  }

  /** Submits a document and says what became of it. */
  async submit(document: object): Promise<{ readonly job: JobView; readonly action: string }> {
    const answer = await this.fetch("/v1/jobs", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(document),
    });
    if (!answer.ok) throw new Error(`submit: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as { readonly job: JobView; readonly action: string };
  }

  job(name: string): Promise<JobView> {
    return this.get(`/v1/jobs/default/${name}`);
  }

  async hosts(): Promise<HostView[]> {
    return (await this.get<{ readonly items: HostView[] }>("/v1/hosts")).items;
  }

  async allocations(query = ""): Promise<AllocationView[]> {
    const items: AllocationView[] = [];
    let cursor = "";
    do {
      const page = await this.get<{ readonly items: AllocationView[]; readonly next: string | null }>(
        `/v1/allocations?limit=1000${query}${cursor}`,
      );
      items.push(...page.items);
      cursor = page.next === null ? "" : `&cursor=${encodeURIComponent(page.next)}`;
    } while (cursor !== "");
    return items;
  }

  /** Waits until a job has ended and answers how. */
  finished(name: string, mostMs = 120_000): Promise<JobView> {
    return eventually(
      `job ${name} has ended`,
      async () => {
        const job = await this.job(name);
        if (job.finishedAtMs !== null) return job;
        throw new Error(JSON.stringify({ state: job.state, tasks: job.tasks, why: job.pendingReason }));
      },
      mostMs,
    );
  }

  /** The processes that make up the cluster, by what they are. Containers are not among them. */
  daemons(): { readonly scheduler: Process[]; readonly nats: Process[]; readonly agents: Process[] } {
    const all = naming(this.dataDir);
    const script = (name: string) => (one: Process) =>
      one.command.some((word) => word.endsWith(`/${name}/dist/main.js`));
    return {
      scheduler: all.filter(script("scheduler")),
      nats: all.filter((one) => one.command[0]?.endsWith("nats-server") === true),
      // `nsenter` and `ip netns exec` replace themselves; whatever still waits in front of Node is not the agent.
      agents: all.filter((one) => script("agent")(one) && one.command[0] === process.execPath),
    };
  }

  agentOf(host: string): Process {
    const found = this.daemons().agents.find((one) => one.command[one.command.indexOf("--host") + 1] === host);
    if (found === undefined) throw new Error(`no agent of ${host}`);
    return found;
  }

  agentLog(host: string): string {
    return readFileSync(join(this.dataDir, "logs", `agent-${host}.log`), "utf8");
  }

  /** Remembers the cgroups of an allocation's processes, so that `remains` can say whether they are still there. */
  noteCgroups(allocation: string): void {
    for (const one of processes()) {
      for (const line of one.cgroups.split("\n")) {
        const path = line.split(":").slice(2).join(":");
        if (path.includes(allocation))
          this.cgroupsSeen.add(path.slice(0, path.indexOf(allocation) + allocation.length));
      }
    }
  }

  /** Whatever of this cluster is still on the machine. */
  remains(): string[] {
    const mounts = readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .filter((line) => line.includes(this.dataDir));
    const roots = existsSync("/sys/fs/cgroup/cgroup.controllers")
      ? ["/sys/fs/cgroup"]
      : readdirSync("/sys/fs/cgroup").map((name) => join("/sys/fs/cgroup", name));
    const cgroups = [...this.cgroupsSeen]
      .flatMap((path) => roots.map((root) => join(root, path)))
      .filter((path) => existsSync(path));
    const ip = (...args: string[]): string[] =>
      execFileSync("ip", args, { encoding: "utf8" })
        .split("\n")
        .filter((line) => line.includes(this.tag));
    return [
      ...naming(this.dataDir).map((one) => `process ${one.pid}: ${one.command.join(" ")}`),
      ...mounts.map((line) => `mount ${line}`),
      ...cgroups.map((path) => `cgroup ${path}`),
      ...ip("-o", "link").map((line) => `link ${line}`),
      ...ip("netns", "list").map((line) => `namespace ${line}`),
    ];
  }

  /** Ends everything, whatever state the test left it in, and answers what could not be ended. */
  async close(): Promise<string[]> {
    for (const up of this.ups) if (isAlive(up.pid)) kill(up.pid, "SIGCONT");
    for (const one of naming(this.dataDir)) kill(one.pid, "SIGCONT");
    const down = await this.cli(["down"]).catch((error: unknown) => ({ code: -1, stderr: String(error) }));
    const said = down.code === 0 ? [] : [`berth down: exit ${down.code}: ${down.stderr}`];
    // A network namespace, and with it its link, is taken apart by the kernel in its own time.
    const left = await eventually("nothing is left", () => this.remains().length === 0 && [], 15_000).catch(() =>
      this.remains(),
    );
    for (const one of naming(this.dataDir)) kill(one.pid, "SIGKILL");
    if (left.length === 0 && said.length === 0) rmSync(this.dataDir, { recursive: true, force: true });
    return [...said, ...left];
  }
}
