/** Which screen belongs to the address, and what stands there while there is nothing to draw. */
import { Component, type ReactNode } from "react";
import { useConnection, useMaybeCluster } from "./live/store.ts";
import { Link, usePath, useRoute } from "./route/navigation.tsx";
import type { Route } from "./route/route.ts";
import { AllocationScreen } from "./screens/allocation.tsx";
import { HostScreen } from "./screens/host.tsx";
import { HostsScreen } from "./screens/hosts.tsx";
import { JobScreen } from "./screens/job.tsx";
import { JobsScreen } from "./screens/jobs.tsx";
import { OverviewScreen } from "./screens/overview.tsx";
import { SignedOut } from "./screens/signed-out.tsx";
import { PageHead } from "./shell/page.tsx";
import { Shell } from "./shell/shell.tsx";
import { Button } from "./ui/button.tsx";
import { Empty } from "./ui/panel.tsx";

const Screen = ({ route }: { readonly route: Route }) => {
  switch (route.screen) {
    case "overview":
      return <OverviewScreen />;
    case "hosts":
      return <HostsScreen />;
    case "host":
      return <HostScreen id={route.host} />;
    case "jobs":
      return <JobsScreen />;
    case "job":
      return <JobScreen project={route.project} name={route.job} />;
    case "allocation":
      return <AllocationScreen key={route.allocation} id={route.allocation} />;
    case "missing":
      return (
        <>
          <PageHead tab="Not found" title="There is nothing at this address" />
          <p>
            <Link to={{ screen: "overview" }}>Go to the overview</Link>
          </p>
        </>
      );
  }
};

/** A bug in one screen must not take the navigation with it. */
class Boundary extends Component<{ readonly children: ReactNode }, { readonly broken: boolean }> {
  override state = { broken: false };
  static getDerivedStateFromError(): { readonly broken: boolean } {
    return { broken: true };
  }
  override render(): ReactNode {
    if (!this.state.broken) return this.props.children;
    return (
      <>
        <PageHead tab="Error" title="This screen cannot be drawn" />
        <Empty title="Something went wrong inside the dashboard">
          <p>The cluster is not affected. The command line shows the same data.</p>
          <Button onClick={() => this.setState({ broken: false })}>Try again</Button>
        </Empty>
      </>
    );
  }
}

const Connecting = () => {
  const connection = useConnection();
  return (
    <>
      <PageHead tab="Connecting" title="Connecting to the scheduler…" />
      <p className="muted">
        {connection.kind === "connecting"
          ? "The first picture of the cluster comes within a second. If it does not, the scheduler may not be running."
          : "The scheduler does not answer. This page keeps trying."}
      </p>
    </>
  );
};

export const App = () => {
  const route = useRoute();
  const path = usePath();
  const connection = useConnection();
  const known = useMaybeCluster() !== undefined;
  if (connection.kind === "signed_out") return <SignedOut />;
  return (
    <Shell route={route}>
      <Boundary key={path}>{known ? <Screen route={route} /> : <Connecting />}</Boundary>
    </Shell>
  );
};
