/** Every host with what is reserved and used on it: the map of the cluster. */
import { formatBytes, formatCpu, type HostView } from "@berth/schema";
import type { Cluster } from "../live/replica.ts";
import { useCluster } from "../live/store.ts";
import { fullness } from "../model/capacity.ts";
import { formatCpuUsed, formatRatio, plural } from "../model/format.ts";
import { pressureRank, pressureWarning } from "../model/pressure.ts";
import { hostStatus } from "../model/status.ts";
import { activeOnHost } from "../model/tasks.ts";
import { Link, useQueryParam } from "../route/navigation.tsx";
import { PageHead } from "../shell/page.tsx";
import { Chips, Command } from "../ui/button.tsx";
import { FillLegend } from "../ui/fill.tsx";
import { StatusBadge } from "../ui/glyph.tsx";
import { Empty, useSome } from "../ui/panel.tsx";
import { JobLegend, Strip } from "../ui/strip.tsx";
import { Ago } from "../ui/time.tsx";
import "./hosts.css";

const byName = (a: HostView, b: HostView): number => a.id.localeCompare(b.id, "en", { numeric: true });
const ORDERS: Readonly<Record<string, (a: HostView, b: HostView) => number>> = {
  fullest: (a, b) => fullness(b) - fullness(a) || byName(a, b),
  pressure: (a, b) => pressureRank(b.pressure) - pressureRank(a.pressure) || byName(a, b),
};

const headline = (hosts: readonly HostView[]): string => {
  const lost = hosts.filter((host) => host.state === "lost").length;
  if (hosts.length === 0) return "No host has registered yet";
  if (lost > 0) return `${lost} of ${plural(hosts.length, "host")} ${lost === 1 ? "is" : "are"} lost`;
  return hosts.length === 1 ? "The host is ready" : `All ${hosts.length} hosts are ready`;
};

export const HostNote = ({ host, heardAtMs }: { readonly host: HostView; readonly heardAtMs: number | undefined }) => {
  if (host.state === "lost") {
    return heardAtMs === undefined ? (
      <>never heard</>
    ) : (
      <>
        last heard <Ago atMs={heardAtMs} />
      </>
    );
  }
  const warning = pressureWarning(host.pressure);
  if (host.pressure === null) return null;
  return warning === undefined ? (
    <span className="muted">no pressure</span>
  ) : (
    <span className="pressed">
      pressure: {warning.line.label} {formatRatio(warning.ratio)}
    </span>
  );
};

const HostRow = ({
  cluster,
  host,
  byJob,
}: {
  readonly cluster: Cluster;
  readonly host: HostView;
  readonly byJob: boolean;
}) => {
  const active = activeOnHost(cluster, host.id);
  const { allocatable } = host.capacity;
  return (
    <li className="host-row">
      <div className="host-row-name">
        <h2>
          <Link to={{ screen: "host", host: host.id }} className="row-link">
            {host.id}
          </Link>
        </h2>
        <StatusBadge status={hostStatus(host)} />
        <p className="host-row-note">
          <HostNote host={host} heardAtMs={cluster.heardAtMs.get(host.id)} />
        </p>
      </div>
      <dl className="host-row-strips">
        <div>
          <dt>CPU</dt>
          <dd>
            <Strip host={host} allocations={active} dimension="cpuMillis" byJob={byJob} />
            <p className="number">
              {formatCpu(host.reserved.cpuMillis)} of {formatCpu(allocatable.cpuMillis)} reserved
              <span className="muted">
                {host.usage === null ? "" : `, ${formatCpuUsed(host.usage.cpuMillis)} used`}
              </span>
            </p>
          </dd>
        </div>
        <div>
          <dt>Memory</dt>
          <dd>
            <Strip host={host} allocations={active} dimension="memoryBytes" byJob={byJob} />
            <p className="number">
              {formatBytes(host.reserved.memoryBytes)} of {formatBytes(allocatable.memoryBytes)} reserved
              <span className="muted">
                {host.usage === null ? "" : `, ${formatBytes(host.usage.memoryBytes)} used`}
              </span>
            </p>
          </dd>
        </div>
      </dl>
      <p className="host-row-count number">{plural(active.length, "allocation")}</p>
    </li>
  );
};

export const HostsScreen = () => {
  const cluster = useCluster();
  const [order, setOrder] = useQueryParam("sort");
  const [color, setColor] = useQueryParam("color");
  const hosts = [...cluster.hosts.values()].sort(ORDERS[order] ?? byName);
  const [shown, more] = useSome(hosts);
  return (
    <>
      <PageHead
        tab="Hosts"
        title={headline(hosts)}
        sub={
          hosts.length === 0
            ? undefined
            : "Each strip is one host: allocations in proportion to what they reserve, and how much of it they use."
        }
      />
      {hosts.length === 0 ? (
        <Empty title="Hosts appear here by themselves">
          <p>An agent shows up within seconds of its start. If none does, ask what this machine lacks:</p>
          <Command text="npx berth doctor" />
        </Empty>
      ) : (
        <div className="hosts">
          <div className="toolbar">
            <Chips
              label="Order"
              value={order in ORDERS ? order : ""}
              onChange={setOrder}
              choices={[
                { value: "", label: "By name" },
                { value: "fullest", label: "Fullest first" },
                { value: "pressure", label: "Most pressed first" },
              ]}
            />
            <div className="toolbar-end">
              <Chips
                label="Colour"
                value={color === "job" ? "job" : ""}
                onChange={setColor}
                choices={[
                  { value: "", label: "Plain" },
                  { value: "job", label: "Colour by job" },
                ]}
              />
            </div>
          </div>
          <ul className="host-rows card">
            {shown.map((host) => (
              <HostRow key={host.id} cluster={cluster} host={host} byJob={color === "job"} />
            ))}
          </ul>
          {more}
          <FillLegend system={shown.some((host) => host.capacity.systemReserved.memoryBytes > 0)} />
          {color === "job" ? <JobLegend allocations={shown.flatMap((host) => activeOnHost(cluster, host.id))} /> : null}
        </div>
      )}
    </>
  );
};
