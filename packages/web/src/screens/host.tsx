/** One host: what it is, how full it is, what runs there, how much its work waits. */
import { formatBytes, formatCpu, formatDuration, type HostId, type HostView } from "@berth/schema";
import { hasEnded } from "../live/replica.ts";
import { useCluster } from "../live/store.ts";
import { formatCpuUsed, formatRatio, plural } from "../model/format.ts";
import { PRESSURE_LINES } from "../model/pressure.ts";
import { hostStatus } from "../model/status.ts";
import { activeOnHost, allocationsOnHost, lastEventAtMs } from "../model/tasks.ts";
import { Link, useQueryParam } from "../route/navigation.tsx";
import { PageHead, type Crumb } from "../shell/page.tsx";
import { Chips } from "../ui/button.tsx";
import { FillLegend } from "../ui/fill.tsx";
import { StatusBadge } from "../ui/glyph.tsx";
import { Empty, Facts, Notice, Section, useSome } from "../ui/panel.tsx";
import { JobLegend, Strip } from "../ui/strip.tsx";
import { AllocationTable } from "./allocation-rows.tsx";
import { Ordered } from "./bringing.tsx";
import { HostNote } from "./hosts.tsx";
import "./host.css";

const CRUMBS: readonly Crumb[] = [{ label: "Hosts", to: { screen: "hosts" } }];

const Pressure = ({ host }: { readonly host: HostView }) => (
  <Section title="Pressure" aside={<span className="muted">share of the last 10 s in which work stood still</span>}>
    {host.pressure === null ? (
      <p className="muted">This host’s kernel does not measure pressure.</p>
    ) : (
      <ul className="pressure card">
        {PRESSURE_LINES.map((line) => {
          const ratio = host.pressure?.[line.key] ?? 0;
          const high = ratio >= line.warnAt;
          return (
            <li key={line.key} data-high={high}>
              <span className="pressure-name">{line.label}</span>
              <svg className="pressure-bar" aria-hidden="true">
                <rect className="fill-track" width="100%" height="100%" />
                <rect className="pressure-value" width={`${(Math.min(1, ratio) * 100).toFixed(2)}%`} height="100%" />
              </svg>
              <span className="number pressure-number">
                {formatRatio(ratio)}
                {high ? <span className="visually-hidden"> (high)</span> : null}
              </span>
              <span className="pressure-sentence">{line.sentence}</span>
            </li>
          );
        })}
      </ul>
    )}
  </Section>
);

const Inventory = ({ host }: { readonly host: HostView }) => {
  const { inventory, capacity } = host;
  return (
    <Section title="Machine">
      <div className="card host-facts">
        <Facts
          facts={[
            ["Operating system", inventory.os],
            ["Kernel", inventory.kernel],
            ["Processor", `${inventory.cpuModel}, ${inventory.cpuCount} × ${inventory.arch}`],
            ["Memory", formatBytes(inventory.memoryBytes)],
            [
              "Kept for the system",
              `${formatCpu(capacity.systemReserved.cpuMillis)} CPU, ${formatBytes(capacity.systemReserved.memoryBytes)}`,
            ],
            ["Control groups", inventory.cgroupVersion],
            ["Load, one minute", host.usage === null ? null : host.usage.load1.toFixed(2)],
            ["Up for", host.usage === null ? null : formatDuration(host.usage.uptimeMs)],
            [
              "Processes",
              `${host.reserved.pids.toLocaleString("en-US")} of ${capacity.allocatable.pids.toLocaleString("en-US")} reserved${
                host.usage === null ? "" : `, ${host.usage.pids.toLocaleString("en-US")} used`
              }`,
            ],
            ["Host name", inventory.hostname === host.id ? null : inventory.hostname],
            ["Agent", inventory.agentVersion],
          ]}
        />
      </div>
    </Section>
  );
};

const Strips = ({ host }: { readonly host: HostView }) => {
  const cluster = useCluster();
  const active = activeOnHost(cluster, host.id);
  const { allocatable } = host.capacity;
  const rows = [
    {
      dimension: "cpuMillis",
      name: "CPU",
      text: `${formatCpu(host.reserved.cpuMillis)} of ${formatCpu(allocatable.cpuMillis)} reserved`,
      used: host.usage === null ? "" : `, ${formatCpuUsed(host.usage.cpuMillis)} used`,
    },
    {
      dimension: "memoryBytes",
      name: "Memory",
      text: `${formatBytes(host.reserved.memoryBytes)} of ${formatBytes(allocatable.memoryBytes)} reserved`,
      used: host.usage === null ? "" : `, ${formatBytes(host.usage.memoryBytes)} used`,
    },
  ] as const;
  return (
    <Section
      title="Capacity"
      aside={
        <FillLegend system={host.capacity.systemReserved.cpuMillis + host.capacity.systemReserved.memoryBytes > 0} />
      }
    >
      <div className="card host-strips">
        {rows.map((row) => (
          <div key={row.dimension}>
            <p className="host-strip-head">
              <span>{row.name}</span>
              <span className="number">
                {row.text}
                <span className="muted">{row.used}</span>
              </span>
            </p>
            <Strip host={host} allocations={active} dimension={row.dimension} size="large" byJob />
          </div>
        ))}
        <JobLegend allocations={active} />
      </div>
    </Section>
  );
};

const Allocations = ({ host }: { readonly host: HostView }) => {
  const cluster = useCluster();
  const [show, setShow] = useQueryParam("show");
  const all = allocationsOnHost(cluster, host.id);
  const active = activeOnHost(cluster, host.id);
  const ended = all.filter(hasEnded).sort((a, b) => lastEventAtMs(b) - lastEventAtMs(a));
  const [shown, more] = useSome(show === "ended" ? ended : active);
  return (
    <Section
      title="Allocations"
      aside={
        <Chips
          label="Which allocations"
          value={show === "ended" ? "ended" : ""}
          onChange={setShow}
          choices={[
            { value: "", label: `Active ${active.length}` },
            { value: "ended", label: `Ended ${ended.length}` },
          ]}
        />
      }
    >
      {shown.length === 0 ? (
        <Empty title={show === "ended" ? "Nothing has ended here yet" : "Nothing runs here now"} />
      ) : (
        <AllocationTable caption={`Allocations on ${host.id}`} allocations={shown} withHost={false} />
      )}
      {more}
    </Section>
  );
};

export const HostScreen = ({ id }: { readonly id: string }) => {
  const cluster = useCluster();
  const host = cluster.hosts.get(id as HostId);
  if (host === undefined) {
    return (
      <>
        <PageHead tab={id} title={`There is no host named ${id}`} crumbs={CRUMBS} />
        <p>
          <Link to={{ screen: "hosts" }}>All hosts</Link>
        </p>
      </>
    );
  }
  return (
    <>
      <PageHead
        tab={id}
        title={id}
        crumbs={CRUMBS}
        sub={
          <>
            <StatusBadge status={hostStatus(host)} />
            <HostNote host={host} heardAtMs={cluster.heardAtMs.get(host.id)} />
            <span>{plural(host.allocations, "allocation")}</span>
          </>
        }
      />
      {host.inventory.notEnforced.length === 0 ? null : (
        <Notice tone="warn" title="What this host cannot enforce">
          <ul className="bullets">
            {host.inventory.notEnforced.map((sentence) => (
              <li key={sentence}>{sentence}</li>
            ))}
          </ul>
        </Notice>
      )}
      <Strips host={host} />
      <Allocations host={host} />
      <Ordered host={host.id} />
      <Pressure host={host} />
      <Inventory host={host} />
    </>
  );
};
