/** Is anything wrong, where is room, what changed: answered without a click. */
import { formatBytes, formatCpu } from "@berth/schema";
import { useCluster } from "../live/store.ts";
import type { Cluster } from "../live/replica.ts";
import { attentionList, type Attention } from "../model/attention.ts";
import { clusterFill, fullness, largestHole } from "../model/capacity.ts";
import { formatCpuUsed, formatRatio, plural } from "../model/format.ts";
import { hostStatus } from "../model/status.ts";
import { activeOnHost, recentAllocations } from "../model/tasks.ts";
import { Link } from "../route/navigation.tsx";
import { PageHead } from "../shell/page.tsx";
import { Command } from "../ui/button.tsx";
import { FillBar, FillLegend } from "../ui/fill.tsx";
import { Glyph } from "../ui/glyph.tsx";
import { Empty, Section } from "../ui/panel.tsx";
import { Strip } from "../ui/strip.tsx";
import { useMinute } from "../ui/time.tsx";
import { AllocationTable } from "./allocation-rows.tsx";
import "./overview.css";

const SHOWN_ITEMS = 8;
const SHOWN_HOSTS = 8;
const SHOWN_ALLOCATIONS = 10;

const runningCount = (cluster: Cluster): number => {
  let running = 0;
  for (const job of cluster.jobs.values()) running += job.tasks.running;
  return running;
};

/** One sentence about the whole. */
const headline = (cluster: Cluster, items: readonly Attention[]): string => {
  if (cluster.hosts.size === 0) return "Waiting for the first host";
  if (items.length > 0) return `${plural(items.length, "thing")} ${items.length === 1 ? "needs" : "need"} attention`;
  return cluster.hosts.size === 1 ? "The host is ready" : `All ${cluster.hosts.size} hosts are ready`;
};

const AttentionItems = ({ items }: { readonly items: readonly Attention[] }) => (
  <Section title="Attention">
    <ul className="attention card">
      {items.slice(0, SHOWN_ITEMS).map((item) => (
        <li key={item.key} data-tone={item.tone}>
          <Glyph name={item.glyph} />
          <p>
            <span className="visually-hidden">{item.tone === "bad" ? "Problem: " : "Warning: "}</span>
            <Link to={item.to}>{item.subject}</Link> {item.sentence}
          </p>
        </li>
      ))}
    </ul>
    {items.length <= SHOWN_ITEMS ? null : (
      <p className="muted">
        and {items.length - SHOWN_ITEMS} more: see <Link to={{ screen: "hosts" }}>hosts</Link> and{" "}
        <Link to={{ screen: "jobs" }}>jobs</Link>
      </p>
    )}
  </Section>
);

const CapacitySection = ({ cluster }: { readonly cluster: Cluster }) => {
  const hosts = [...cluster.hosts.values()];
  const hole = largestHole(hosts);
  const rows = [
    { dimension: "cpuMillis", name: "CPU", format: formatCpu, used: formatCpuUsed },
    { dimension: "memoryBytes", name: "Memory", format: formatBytes, used: formatBytes },
  ] as const;
  return (
    <Section title="Capacity" aside={<FillLegend />}>
      <div className="capacity card">
        {rows.map(({ dimension, name, format, used }) => {
          const fill = clusterFill(hosts, dimension);
          return (
            <div className="capacity-row" key={dimension}>
              <p className="capacity-name">
                {name}
                <strong className="number">
                  {fill.allocatable === 0 ? "–" : formatRatio(fill.reserved / fill.allocatable)}
                </strong>
              </p>
              <FillBar tall fill={fill} label={name} format={format} />
              <p className="muted number">
                {format(fill.reserved)} of {format(fill.allocatable)} reserved, {used(fill.used)} used
              </p>
            </div>
          );
        })}
        <p className="capacity-hole">
          {hole === undefined ? (
            "No host has room for another task."
          ) : (
            <>
              Largest placeable: <strong className="number">{formatCpu(hole.free.cpuMillis)} CPU</strong> with{" "}
              <strong className="number">{formatBytes(hole.free.memoryBytes)}</strong> on{" "}
              <Link to={{ screen: "host", host: hole.hostId }}>{hole.hostId}</Link>
            </>
          )}
        </p>
      </div>
    </Section>
  );
};

const HostMap = ({ cluster }: { readonly cluster: Cluster }) => {
  const hosts = [...cluster.hosts.values()].sort(
    (a, b) =>
      Number(b.state === "lost") - Number(a.state === "lost") || fullness(b) - fullness(a) || a.id.localeCompare(b.id),
  );
  return (
    <Section
      title="Hosts"
      aside={
        <Link to={{ screen: "hosts" }}>
          {hosts.length <= SHOWN_HOSTS ? "Details" : `All ${hosts.length}`}
          <span className="visually-hidden"> hosts</span>
        </Link>
      }
    >
      <ul className="host-map card">
        {hosts.slice(0, SHOWN_HOSTS).map((host) => {
          const active = activeOnHost(cluster, host.id);
          const status = hostStatus(host);
          return (
            <li key={host.id}>
              <p className="host-map-name" data-tone={status.tone}>
                <Glyph name={status.glyph} />
                <Link to={{ screen: "host", host: host.id }}>{host.id}</Link>
                <span className={host.state === "ready" ? "visually-hidden" : "host-map-state"}>{status.word}</span>
              </p>
              <div className="host-map-strips">
                <span className="muted">CPU</span>
                <Strip host={host} allocations={active} dimension="cpuMillis" size="small" />
                <span className="muted">Memory</span>
                <Strip host={host} allocations={active} dimension="memoryBytes" size="small" />
              </div>
            </li>
          );
        })}
      </ul>
    </Section>
  );
};

export const OverviewScreen = () => {
  const cluster = useCluster();
  const items = attentionList(cluster, useMinute());
  const recent = recentAllocations(cluster, SHOWN_ALLOCATIONS);
  return (
    <>
      <PageHead
        tab="Overview"
        title={headline(cluster, items)}
        sub={
          cluster.hosts.size === 0 ? undefined : (
            <>
              <span>{plural(cluster.hosts.size, "host")}</span>
              <span>{plural(cluster.jobs.size, "job")}</span>
              <span>{plural(runningCount(cluster), "task")} running</span>
            </>
          )
        }
      />
      {items.length === 0 ? null : <AttentionItems items={items} />}
      {cluster.hosts.size === 0 ? (
        <Empty title="No host has registered yet">
          <p>A host appears here within seconds of its agent’s start. If none does, ask what this machine lacks:</p>
          <Command text="npx berth doctor" />
        </Empty>
      ) : (
        <div className="overview-pair">
          <CapacitySection cluster={cluster} />
          <HostMap cluster={cluster} />
        </div>
      )}
      {cluster.hosts.size === 0 && recent.length === 0 ? null : (
        <Section title="Recent allocations">
          {recent.length === 0 ? (
            <Empty title="Nothing has run yet">
              <p>Run the smallest job there is; it appears here at once.</p>
              <Command text="npx berth run examples/hello.yaml" />
            </Empty>
          ) : (
            <AllocationTable caption="Recent allocations" allocations={recent} />
          )}
        </Section>
      )}
    </>
  );
};
