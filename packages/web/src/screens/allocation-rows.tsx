/** Allocations as a table: the same rows on the overview, at a host and at a job. */
import { formatBytes, formatCpu, type AllocationView } from "@berth/schema";
import { lastEventAtMs } from "../model/tasks.ts";
import { formatCpuUsed } from "../model/format.ts";
import { allocationStatus } from "../model/status.ts";
import { hasEnded } from "../live/replica.ts";
import { Link } from "../route/navigation.tsx";
import { StatusBadge } from "../ui/glyph.tsx";
import { columnClass, Table, type Column } from "../ui/table.tsx";
import { Ago } from "../ui/time.tsx";

const HOST: Column = { title: "Host", from: "medium" };
const columns = (withHost: boolean): Column[] => [
  { title: "Task" },
  { title: "State" },
  ...(withHost ? [HOST] : []),
  { title: "CPU used / reserved", end: true, from: "wide" },
  { title: "Memory used / reserved", end: true, from: "wide" },
  { title: "Changed", end: true },
];

const Amount = ({ used, reserved }: { readonly used: string | undefined; readonly reserved: string }) => (
  <>
    {used === undefined ? <span className="muted">–</span> : used} <span className="muted">/ {reserved}</span>
  </>
);

export const AllocationRow = ({
  allocation,
  withHost,
}: {
  readonly allocation: AllocationView;
  readonly withHost: boolean;
}) => {
  const usage = hasEnded(allocation) ? null : allocation.usage;
  return (
    <tr>
      <th scope="row">
        <Link to={{ screen: "allocation", allocation: allocation.id }} className="row-link">
          <span className="muted">{allocation.project}/</span>
          {allocation.job}[{allocation.index}]
        </Link>
        {allocation.attempt > 1 ? <span className="muted"> attempt {allocation.attempt}</span> : null}
      </th>
      <td>
        <StatusBadge status={allocationStatus(allocation)} />
      </td>
      {withHost ? (
        <td className={columnClass(HOST)}>
          <Link to={{ screen: "host", host: allocation.hostId }} className="above">
            {allocation.hostId}
          </Link>
        </td>
      ) : null}
      <td className="end if-wide nowrap">
        <Amount
          used={usage === null ? undefined : formatCpuUsed(usage.cpuMillis)}
          reserved={formatCpu(allocation.resources.cpuMillis)}
        />
      </td>
      <td className="end if-wide nowrap">
        <Amount
          used={usage === null ? undefined : formatBytes(usage.memoryBytes)}
          reserved={formatBytes(allocation.resources.memoryBytes)}
        />
      </td>
      <td className="end muted">
        <Ago atMs={lastEventAtMs(allocation)} />
      </td>
    </tr>
  );
};

export const AllocationTable = ({
  caption,
  allocations,
  withHost = true,
}: {
  readonly caption: string;
  readonly allocations: readonly AllocationView[];
  readonly withHost?: boolean;
}) => (
  <Table caption={caption} columns={columns(withHost)}>
    {allocations.map((allocation) => (
      <AllocationRow key={allocation.id} allocation={allocation} withHost={withHost} />
    ))}
  </Table>
);
