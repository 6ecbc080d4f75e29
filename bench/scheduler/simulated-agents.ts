/**
 * A program: many agents in one process, each with an own key and an own connection, that do what real ones do towards the
 * scheduler and run nothing. Everything they are told to run is reported as running at once. Started by end-to-end.ts with
 * what to do on its standard input; says one line, "ready", and ends with its standard input.
 */
import { createInterface } from "node:readline";
import { connect, nkeyAuthenticator, type NatsConnection } from "nats";
import { MAX_REPORTS, noResources, Subjects, type DesiredDocument, type HostId, type Resources } from "@berth/schema";

export interface Orders {
  readonly natsUrls: readonly string[];
  readonly heartbeatMs: number;
  readonly capacity: Resources;
  readonly hosts: readonly { readonly id: HostId; readonly seed: string }[];
}

const AT_ONCE = 4;

const run = async ({ capacity, heartbeatMs, natsUrls }: Orders, host: Orders["hosts"][number]): Promise<void> => {
  const { id } = host;
  const connection: NatsConnection = await connect({
    servers: [...natsUrls],
    authenticator: nkeyAuthenticator(Buffer.from(host.seed)),
    inboxPrefix: Subjects.inboxPrefix(id),
    maxReconnectAttempts: -1,
    timeout: 60_000,
  });
  const session = `session-${id}-0123456789abcdef`;
  const known = new Set<string>();
  const unsent: string[] = [];
  let [epoch, rev, seq] = [0, 0, 0];
  let isSending = false;

  const request = async (operation: string, body: unknown) => {
    const reply = await connection.request(`api.${id}.${operation}`, JSON.stringify(body), { timeout: 30_000 });
    // oxlint-disable-next-line typescript/no-explicit-any -- a program for measuring believes its own scheduler
    return reply.json<any>();
  };
  const send = async (): Promise<void> => {
    if (isSending) return;
    isSending = true;
    while (unsent.length > 0) {
      const startedAtMs = Date.now();
      const some = unsent.slice(0, MAX_REPORTS);
      const allocations = some.map((one) => ({
        id: one,
        state: "running",
        reason: "started",
        startedAtMs,
        exit: null,
      }));
      const reply = await request("report", { session, allocations }).catch(() => ({ ok: false }));
      if (reply.ok === true) unsent.splice(0, some.length);
      else await new Promise((resolve) => setTimeout(resolve, 200));
    }
    isSending = false;
  };
  const take = (signed: { readonly payload: string }): void => {
    const document = JSON.parse(signed.payload) as DesiredDocument;
    if (document.epoch < epoch || (document.epoch === epoch && document.rev <= rev)) return;
    ({ epoch, rev } = document);
    for (const allocation of document.allocations) {
      if (known.has(allocation.id)) continue;
      known.add(allocation.id);
      unsent.push(allocation.id);
    }
    void send();
  };
  connection.subscribe(Subjects.desired(id), { callback: (_, message) => take(message.json()) });
  const inventory = {
    hostname: id,
    arch: "x64",
    os: "linux",
    kernel: "6",
    cpuModel: "simulated",
    cpuCount: capacity.cpuMillis / 1000,
    memoryBytes: capacity.memoryBytes,
    cgroupVersion: "v2",
    notEnforced: [],
    agentVersion: "0.1.0",
  };
  const all = { capacity, systemReserved: noResources(), allocatable: capacity };
  const reply = await request("hello", { version: 1, session, bootId: "boot", inventory, capacity: all, epoch, rev });
  if (reply.ok !== true) throw new Error(`${id} is not welcome: ${JSON.stringify(reply.problem)}`);
  take(reply.value.desired);
  const usage = { cpuMillis: 100, memoryBytes: 2 ** 20, pids: 10, load1: 0.5, uptimeMs: 1_000 };
  setInterval(() => {
    seq += 1;
    const beat = { session, seq, epoch, rev, digest: "", usage, pressure: null, containers: {} };
    connection.publish(Subjects.heartbeat(id), JSON.stringify(beat));
  }, heartbeatMs);
  setInterval(() => {
    void request("sync", { session, epoch, rev })
      .then((answer) => (answer.ok === true && answer.value.desired ? take(answer.value.desired) : undefined))
      .catch(() => undefined);
  }, 10_000);
};

const lines = createInterface({ input: process.stdin });
lines.on("close", () => process.exit(0));
lines.once("line", (line) => {
  void (async () => {
    const orders = JSON.parse(line) as Orders;
    // Few at a time: one process signs for all of them, and the server does not wait long for a signature.
    for (let at = 0; at < orders.hosts.length; at += AT_ONCE) {
      await Promise.all(orders.hosts.slice(at, at + AT_ONCE).map((host) => run(orders, host)));
    }
    process.stdout.write("ready\n");
  })();
});
