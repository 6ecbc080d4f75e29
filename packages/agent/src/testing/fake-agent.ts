/** An agent on a fake host at a fake line: what the tests of the application start, kill and start again. */
import type { Capacity, Inventory } from "@berth/schema";
import { startAgent, type Agent } from "../app/agent.ts";
import type { Log } from "../ports/log.ts";
import { DEFAULT_RETENTION, type RetentionLimits } from "../core/retention.ts";
import { FakeClock } from "./fake-clock.ts";
import { FakeHost } from "./fake-host.ts";
import { FakeCluster, fakeVerifier } from "./fake-line.ts";

export const quietLog = (lines: string[] = []): Log => {
  const write = (fields: object, event: string): void => void lines.push(`${event} ${JSON.stringify(fields)}`);
  return { debug: write, info: write, warn: write, error: write };
};

const inventory: Inventory = {
  hostname: "h1",
  arch: "x64",
  os: "test",
  kernel: "test",
  cpuModel: "test",
  cpuCount: 1,
  memoryBytes: 1,
  cgroupVersion: "v2",
  notEnforced: [],
  agentVersion: "0",
};
const some = { cpuMillis: 1000, memoryBytes: 1, pids: 1 };
const capacity: Capacity = { capacity: some, systemReserved: some, allocatable: some };

export interface FakeAgentOptions {
  readonly random?: () => number;
  readonly slots?: number;
  readonly retention?: RetentionLimits;
}

export class FakeAgent {
  readonly clock: FakeClock;
  readonly host: FakeHost;
  readonly cluster = new FakeCluster();
  readonly lines: string[] = [];
  agent: Agent | undefined;
  #kill: () => void = () => undefined;
  #lives = 0;
  readonly #options: FakeAgentOptions;

  constructor(options: FakeAgentOptions = {}) {
    this.#options = options;
    this.clock = new FakeClock(options.random);
    this.host = new FakeHost(this.clock, options.random);
  }

  async start(): Promise<void> {
    this.#lives += 1;
    const { kill: killHost, ...ports } = this.host.live();
    const { kill: killLine, line } = this.cluster.line();
    let killed = false;
    this.#kill = () => {
      killed = true;
      killHost();
      killLine();
    };
    const starting = startAgent(
      {
        ...ports,
        line,
        clock: {
          ...this.clock,
          // A dead process has no timers.
          after: (delayMs, run) => this.clock.after(delayMs, () => void (killed || run())),
        },
        log: quietLog(this.lines),
        verifier: fakeVerifier,
        sealed: { sealingKey: `${"A".repeat(43)}=`, open: () => undefined },
        probe: {
          sample: () => ({ usage: { cpuMillis: 1, memoryBytes: 1, pids: 1, load1: 0, uptimeMs: 1 }, pressure: null }),
          idBaseOf: (pid) => this.host.idBaseOf(pid),
          ageMsOf: (pid) => this.host.ageMsOf(pid),
        },
      },
      {
        host: this.cluster.host,
        session: `session-number-${this.#lives}`,
        bootId: "boot",
        ids: { base: 1_000_000, slots: this.#options.slots ?? 64 },
        retention: this.#options.retention ?? DEFAULT_RETENTION,
        declared: new Set(),
        devices: [],
        hostPaths: [{ prefix: "/", readOnly: false }],
      },
      { inventory: Promise.resolve(inventory), capacity },
    );
    this.agent = await starting;
  }

  /** kill -9: nothing of this life has any effect from here on. */
  kill(): void {
    this.#kill();
    this.agent = undefined;
  }
}
