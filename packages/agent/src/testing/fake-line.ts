/**
 * The scheduler's end of the line, in memory: holds the desired document, acknowledges reports and remembers them. Nothing
 * is really signed: the payload vouches for itself, unless it says that it is forged.
 */
import {
  isTerminal,
  problem,
  type AllocationId,
  type AllocationReport,
  type DesiredAllocation,
  type Heartbeat,
  type HostId,
  type JobSpec,
  type Signed,
} from "@berth/schema";
import type { Verifier } from "../ports/host.ts";
import type { LineHandlers, SchedulerLine } from "../ports/line.ts";
import { turns } from "./fake-clock.ts";

export const fakeSign = (value: unknown): Signed => ({ payload: JSON.stringify(value), signature: "ok" });
export const fakeVerifier: Verifier = {
  verify: ({ payload, signature }) => (signature === "ok" ? payload : undefined),
};

export class FakeCluster {
  readonly host = "h1" as HostId;
  epoch = 1;
  rev = 1;
  readonly allocations = new Map<AllocationId, DesiredAllocation>();
  readonly specs: Record<string, JobSpec> = {};
  /** What the scheduler has in its log, by allocation, in order. */
  readonly log = new Map<AllocationId, AllocationReport[]>();
  readonly heartbeats: Heartbeat[] = [];
  /** False: nobody grants any. */
  leases = true;
  reportsFail = false;
  hellos = 0;
  up = true;
  #handlers: LineHandlers | undefined;

  place(id: AllocationId, spec: JobSpec): void {
    this.specs["spec"] = spec;
    this.allocations.set(id, {
      id,
      project: spec.project,
      job: spec.name,
      jobVersion: 1,
      index: this.allocations.size,
      attempt: 1,
      epoch: this.epoch,
      desired: "run",
      spec: "spec",
    });
    this.rev += 1;
  }

  wishStop(id: AllocationId): void {
    const allocation = this.allocations.get(id);
    if (allocation === undefined) return;
    this.allocations.set(id, { ...allocation, desired: "stop" });
    this.rev += 1;
  }

  drop(id: AllocationId): void {
    if (this.allocations.delete(id)) this.rev += 1;
  }

  signed(): Signed {
    return fakeSign({
      version: 1,
      host: this.host,
      epoch: this.epoch,
      rev: this.rev,
      specs: this.specs,
      allocations: [...this.allocations.values()],
    });
  }

  announce(signed = this.signed()): void {
    if (this.up) this.#handlers?.onDesired(signed, false);
  }

  rpc(value: unknown): ReturnType<LineHandlers["onRpc"]> {
    if (this.#handlers === undefined) throw new Error("no agent");
    return this.#handlers.onRpc(fakeSign(value));
  }

  setUp(up: boolean): void {
    if (this.up === up) return;
    this.up = up;
    this.#handlers?.onChange(up);
  }

  /** The line of one life of the agent. */
  line(): { readonly line: SchedulerLine; readonly kill: () => void } {
    const life = { alive: true };
    const answer = async <T>(effect: () => T): Promise<T> => {
      await turns(1);
      if (!life.alive) return await new Promise<T>(() => undefined);
      const result = effect();
      await turns(1);
      // An answer that is lost on the way back: the request has had its effect.
      return life.alive ? result : await new Promise<T>(() => undefined);
    };
    const down = { ok: false as const, error: problem("cluster.unreachable", "down") };
    return {
      kill: () => {
        life.alive = false;
        this.#handlers = undefined;
      },
      line: {
        open: (handlers) => {
          this.#handlers = handlers;
          if (this.up) setImmediate(() => handlers.onChange(true));
        },
        isUp: () => this.up,
        hello: () =>
          answer(() => {
            if (!this.up) return down;
            this.hellos += 1;
            return { ok: true, value: { epoch: this.epoch, heartbeatMs: 2000, desired: this.signed() } };
          }),
        sync: ({ epoch, rev }) =>
          answer(() => {
            if (!this.up) return down;
            const current = epoch === this.epoch && rev === this.rev;
            return { ok: true, value: { desired: current ? null : this.signed() } };
          }),
        report: ({ allocations }) =>
          answer(() => {
            if (!this.up) return down;
            if (this.reportsFail) return { ok: false, error: problem("log.unavailable", "later") };
            for (const report of allocations) {
              this.log.set(report.id, [...(this.log.get(report.id) ?? []), report]);
              if (isTerminal(report.state)) this.drop(report.id);
            }
            return { ok: true, value: { rev: this.rev } };
          }),
        held: ({ revision }) => Promise.resolve({ ok: true, value: { revision } }),
        findImage: () => Promise.resolve({ ok: true, value: { found: null } }),
        readBlob: () => Promise.resolve(down),
        lease: ({ session, nonce }) =>
          answer(() => {
            if (!this.up || !this.leases) return down;
            const { epoch, host, rev } = this;
            return { ok: true, value: { lease: fakeSign({ kind: "lease", host, session, epoch, rev, nonce }) } };
          }),
        heartbeat: (heartbeat) => {
          if (life.alive) this.heartbeats.push(heartbeat);
        },
        openSession: () => undefined,
        close: () => Promise.resolve(),
      },
    };
  }
}
