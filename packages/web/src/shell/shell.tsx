/** What stays while the screens change: navigation, how fresh the data is, theme and help. */
import { useEffect, useRef, type ReactNode } from "react";
import { useMaybeCluster } from "../live/store.ts";
import { Link, usePath } from "../route/navigation.tsx";
import { sectionOf, type Route } from "../route/route.ts";
import { Patterns } from "../ui/strip.tsx";
import { ThemeChoice } from "../ui/theme.tsx";
import { LiveIndicator } from "./live-indicator.tsx";
import { Shortcuts } from "./shortcuts.tsx";
import "./shell.css";

const NAVIGATION = [
  {
    section: "overview",
    label: "Overview",
    icon: "M2.5 2.5h4.6v6H2.5zM9 2.5h4.5v3.6H9zM9 8.4h4.5v5.1H9zM2.5 10.8h4.6v2.7H2.5z",
  },
  { section: "hosts", label: "Hosts", icon: "M2.5 3h11v4h-11zM2.5 9h11v4h-11zM4.8 5h.1M4.8 11h.1" },
  { section: "jobs", label: "Jobs", icon: "M2.5 4h2v2h-2zM2.5 10h2v2h-2zM7 5h6.5M7 11h6.5" },
] as const;

export const Mark = () => (
  <svg width="20" height="20" viewBox="0 0 20 20" aria-hidden="true" className="mark">
    <path d="M2 4h16v3.5H2z" />
    <path d="M2 8.5h9.5V12H2z" opacity=".75" />
    <path d="M12.7 8.5H18V12h-5.3zM2 13h5.5v3.5H2z" opacity=".45" />
  </svg>
);

/** A new view starts at its heading, as a new page would; the first one is left as the browser made it. */
const useFocusOnNavigation = () => {
  const path = usePath();
  const main = useRef<HTMLElement>(null);
  const seen = useRef(path);
  useEffect(() => {
    if (seen.current === path) return;
    seen.current = path;
    (main.current?.querySelector("h1") ?? main.current)?.focus({ preventScroll: true });
  }, [path]);
  return main;
};

export const Shell = ({ route, children }: { readonly route: Route; readonly children: ReactNode }) => {
  const cluster = useMaybeCluster();
  const main = useFocusOnNavigation();
  const section = sectionOf(route);
  return (
    <div className="shell">
      <Patterns />
      <a className="skip" href="#main" onClick={(event) => (event.preventDefault(), main.current?.focus())}>
        Skip to content
      </a>
      <header className="rail">
        <div className="brand">
          <Mark />
          <span className="brand-name">Berth</span>
          {cluster === undefined || cluster.name === "" ? null : <span className="brand-cluster">{cluster.name}</span>}
        </div>
        <nav aria-label="Main">
          <ul>
            {NAVIGATION.map((entry) => (
              <li key={entry.section}>
                <Link to={{ screen: entry.section }} aria-current={section === entry.section ? "page" : undefined}>
                  <svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true" fill="none" stroke="currentColor">
                    <path d={entry.icon} strokeWidth="1.3" strokeLinejoin="round" strokeLinecap="round" />
                  </svg>
                  {entry.label}
                </Link>
              </li>
            ))}
          </ul>
        </nav>
        <div className="rail-end">
          <LiveIndicator />
          <div className="rail-tools">
            <ThemeChoice />
            <Shortcuts />
          </div>
        </div>
      </header>
      <main ref={main} id="main" tabIndex={-1}>
        {children}
      </main>
    </div>
  );
};
