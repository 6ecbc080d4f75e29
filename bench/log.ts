/**
 * `pnpm bench:log`: how fast an instance gets from the log's bytes to its state, which is what a start and a follower do:
 * checksum, decode, fold. One record per transaction is the worst case, an agent that reports one change at a time.
 * Then the same state as a snapshot: written, proven, restored. Beside it, in the same run, the floor: the same bytes through
 * JSON.parse and nothing else. Seconds are of the clock; on a busy machine those of the processor say more, and both are shown.
 *
 * `--json` prints one object a line: {name, value, unit, versus, target, met}.
 */
import { parseArgs } from "node:util";
import { crc32 } from "node:zlib";
import { readTransaction, type AllocationId, type HostId, type LogRecord, type Transaction } from "@berth/schema";
import { decodeSnapshot, encodeSnapshot } from "../packages/scheduler/src/app/snapshot-format.ts";
import { createState, fold, restoreImage } from "../packages/scheduler/src/core/index.ts";
import { figure, showFigure, type Figure } from "./runtime/figures.ts";
import { jobOf } from "./scheduler/berth-cell.ts";

const HOSTS = 1_000;
const JOBS = 100;
const TASKS = 500;

const allocatable = { cpuMillis: 64_000, memoryBytes: 2 ** 38, pids: 1_000_000 };
const hostOf = (at: number): HostId => `h${at % HOSTS}` as HostId;
const idOf = (at: number): AllocationId => `alloc_${String(at).padStart(26, "0")}` as AllocationId;

function* records(): Generator<LogRecord> {
  const none = { cpuMillis: 0, memoryBytes: 0, pids: 0 };
  for (let at = 0; at < HOSTS; at += 1) {
    const hostId = hostOf(at);
    yield { kind: "host_enrolled", hostId, publicKey: `U${"A".repeat(55)}`, by: "bench" };
    yield {
      kind: "host_registered",
      hostId,
      session: "0123456789abcdef",
      bootId: "1",
      inventory: {
        hostname: hostId,
        arch: "x64",
        os: "linux",
        kernel: "6",
        cpuModel: "cpu",
        cpuCount: 64,
        memoryBytes: allocatable.memoryBytes,
        cgroupVersion: "v2",
        notEnforced: [],
        agentVersion: "1",
      },
      capacity: { capacity: allocatable, systemReserved: none, allocatable },
    };
  }
  for (let job = 0; job < JOBS; job += 1) {
    const spec = jobOf(`j${job}`, { cpuMillis: 100, memoryBytes: 2 ** 20, pids: 10 }, TASKS);
    yield { kind: "job_submitted", spec, jobVersion: 1, by: "bench", idempotencyKey: null, requestDigest: "" };
    for (let index = 0; index < TASKS; index += 1) {
      const at = job * TASKS + index;
      const score = { total: 1, parts: [] };
      const { project, name } = spec;
      yield {
        kind: "allocation_placed",
        placement: {
          id: idOf(at),
          project,
          job: name,
          jobVersion: 1,
          index,
          attempt: 1,
          hostId: hostOf(at),
          score,
          replaces: null,
        },
      };
    }
    for (const state of ["running", "exited"] as const) {
      for (let index = 0; index < TASKS; index += 1) {
        const at = job * TASKS + index;
        const exit =
          state === "exited"
            ? {
                code: 0,
                signal: null,
                oom: false,
                cause: "exited" as const,
                detail: null,
                startedAtMs: 1,
                finishedAtMs: 2,
              }
            : null;
        const report = { id: idOf(at), state, reason: state, startedAtMs: 1, exit };
        yield { kind: "allocation_reported", hostId: hostOf(at), report };
      }
    }
  }
}

interface Entry {
  readonly bytes: Buffer;
  readonly sum: number;
}

const write = (perTransaction: number): { readonly entries: Entry[]; readonly count: number } => {
  const entries: Entry[] = [];
  let count = 0;
  let waiting: LogRecord[] = [];
  const flush = (): void => {
    if (waiting.length === 0) return;
    const transaction: Transaction = { version: 2, origin: null, epoch: 0, atMs: 1, cause: "bench", records: waiting };
    const bytes = Buffer.from(JSON.stringify(transaction));
    entries.push({ bytes, sum: crc32(bytes) });
    waiting = [];
  };
  for (const record of records()) {
    waiting.push(record);
    count += 1;
    if (waiting.length >= perTransaction) flush();
  }
  flush();
  return { entries, count };
};

const read = (entries: readonly Entry[]) => {
  const state = createState();
  entries.forEach(({ bytes, sum }, at) => {
    if (crc32(bytes) !== sum) throw new Error("damaged");
    const decoded = readTransaction(bytes.toString("utf8"), "a transaction");
    if (!decoded.ok) throw new Error(decoded.error.detail);
    if (fold(state, at + 1, decoded.value).ignored > 0) throw new Error(`transaction ${at + 1} was ignored`);
  });
  return state;
};

const TARGET = 50_000;
const { values } = parseArgs({ options: { json: { type: "boolean", default: false } } });

interface Took {
  readonly seconds: number;
  /** Of all threads: collecting garbage is among it. */
  readonly processorSeconds: number;
}

const timed = (work: () => void): Took => {
  const [from, cpu] = [performance.now(), process.cpuUsage()];
  work();
  const { user, system } = process.cpuUsage(cpu);
  return { seconds: (performance.now() - from) / 1_000, processorSeconds: (user + system) / 1e6 };
};

const show = (one: Figure): void => {
  console.log(values.json ? JSON.stringify(one) : `${showFigure(one)}   ${one.versus ?? ""}`);
};

for (const perTransaction of [1, 20, 200]) {
  const { entries, count } = write(perTransaction);
  read(entries);
  const took = timed(() => void read(entries));
  const parsing = timed(() => {
    for (const { bytes } of entries) JSON.parse(bytes.toString("utf8"));
  });
  const name = `log.fold.${perTransaction}_a_transaction`;
  const versus = `${(took.processorSeconds / parsing.processorSeconds).toFixed(1)} x the time of JSON.parse`;
  const more = { versus, atLeast: TARGET };
  show(figure(name, Math.round(count / took.seconds), "records/s", more));
  show(figure(`${name}.of_a_processor`, Math.round(count / took.processorSeconds), "records/s", more));
}

const state = read(write(200).entries);
let chunks: Uint8Array[] = [];
const wrote = timed(() => {
  chunks = encodeSnapshot(state, { cluster: "bench", incarnation: "bench", nowMs: 1 });
});
const restored = timed(() => {
  const decoded = decodeSnapshot(chunks);
  if (!decoded.ok) throw new Error(decoded.error);
  restoreImage(createState(), decoded.value.image);
});
const size = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
const of = `${state.allocations.size} allocations, ${(size / 1e6).toFixed(1)} MB`;
show(figure("log.snapshot.written", wrote.seconds, "s", { versus: of }));
show(figure("log.snapshot.restored", restored.seconds, "s", { versus: of }));
