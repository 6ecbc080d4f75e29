/** Every metric of the scheduler, once. Labels are bounded: routes, reasons, outcomes; never ids of allocations. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Control } from "../../app/control.ts";
import type { Counters } from "../../app/counters.ts";

export interface Metrics {
  readonly counters: Counters;
  readonly contentType: string;
  readonly render: () => Promise<string>;
  readonly answered: (method: string, route: string, status: number, seconds: number) => void;
  readonly joined: (outcome: "joined" | "refused") => void;
  readonly auditDropped: () => void;
  /** Gauges are read from it when somebody asks. */
  readonly observe: (control: Control) => void;
}

export const createMetrics = (version: string): Metrics => {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry, prefix: "berth_" });
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> =>
    new Counter({ name, help, labelNames: [...labelNames], registers });

  const evaluations = counter("berth_scheduler_evaluations_total", "Evaluations that proposed something");
  const placements = counter("berth_scheduler_placements_total", "Placements proposed by evaluations");
  const rejections = counter("berth_scheduler_plan_rejections_total", "Plans that were not applied", ["reason"]);
  const evaluationSeconds = new Histogram({
    name: "berth_scheduler_evaluation_duration_seconds",
    help: "Time to make and validate one plan",
    buckets: [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1],
    registers,
  });
  const documentFailures = counter(
    "berth_scheduler_document_failures_total",
    "Desired documents that could not be written",
  );
  const watchersDropped = counter("berth_watch_clients_dropped_total", "Live feeds that were too slow");
  const heartbeats = counter("berth_heartbeats_total", "Heartbeats by what became of them", ["outcome"]);
  const agentRefusals = counter("berth_agent_messages_refused_total", "Messages of agents that were not worked on", [
    "reason",
  ]);
  const busRefusals = counter(
    "berth_bus_refusals_total",
    "What the embedded nats-server refused: a publication or a subscription beyond a host's rights, a client without a good key",
    ["kind"],
  );
  const joins = counter("berth_joins_total", "Machines that asked to join, by what became of it", ["outcome"]);
  const auditDropped = counter(
    "berth_audit_entries_dropped_total",
    "Refusals and requests that the audit trail does not have: too many at once, or the log did not take them",
  );
  const requests = counter("berth_http_requests_total", "HTTP requests", ["method", "route", "status"]);
  const requestSeconds = new Histogram({
    name: "berth_http_request_duration_seconds",
    help: "Time to answer a request",
    labelNames: ["route"],
    buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30],
    registers,
  });
  new Gauge({ name: "berth_scheduler_info", help: "Version", labelNames: ["version"], registers }).set({ version }, 1);

  const gauge = (name: string, help: string, read: () => number): Gauge =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });

  return {
    contentType: registry.contentType,
    render: () => registry.metrics(),
    answered: (method, route, status, seconds) => {
      requests.inc({ method, route, status: String(status) });
      requestSeconds.observe({ route }, seconds);
    },
    joined: (outcome) => joins.inc({ outcome }),
    auditDropped: () => auditDropped.inc(),
    observe: ({ engine, documents, hub, events, streams }) => {
      const { state } = engine;
      gauge("berth_scheduler_leading", "1 while this instance leads", () => (engine.role() === "leading" ? 1 : 0));
      gauge("berth_scheduler_epoch", "Epoch of the newest leader", () => state.epoch);
      gauge("berth_scheduler_revision", "Sequence of the newest folded transaction", () => state.revision);
      gauge("berth_scheduler_records_ignored", "Records that contradicted the state", () => state.ignoredRecords);
      gauge("berth_scheduler_queue_length", "Changes that wait to be written", engine.queueLength);
      gauge("berth_scheduler_documents_pending", "Desired documents that wait to be written", documents.pending);
      gauge("berth_jobs", "Jobs that are kept", () => state.jobs.size);
      gauge("berth_hosts", "Hosts that are admitted", () => state.hosts.size);
      gauge(
        "berth_hosts_lost",
        "Hosts that are silent",
        () => [...state.hosts.values()].filter((host) => host.state === "lost").length,
      );
      gauge("berth_allocations", "Allocations that are kept", () => state.allocations.size);
      gauge("berth_watch_clients", "Live feeds that are open", hub.clients);
      gauge("berth_event_readers", "Readers of events", events.readers);
      gauge("berth_file_streams", "Files of allocations that are being read", streams.openCount);
    },
    counters: {
      planned: (seconds, count) => {
        evaluations.inc();
        placements.inc(count);
        evaluationSeconds.observe(seconds);
      },
      rejected: (reason) => rejections.inc({ reason }),
      documentFailed: () => documentFailures.inc(),
      watcherDropped: () => watchersDropped.inc(),
      heartbeat: (outcome) => heartbeats.inc({ outcome }),
      agentRefused: (reason) => agentRefusals.inc({ reason }),
      busRefused: (kind) => busRefusals.inc({ kind }),
    },
  };
};
