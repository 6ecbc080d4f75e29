/** The head of a screen: where one is, one sentence about its state, and what one can do. It also names the tab. */
import { useEffect, type ReactNode } from "react";
import { Link } from "../route/navigation.tsx";
import type { Route } from "../route/route.ts";

export interface Crumb {
  readonly label: string;
  readonly to: Route;
  readonly query?: string;
}

/** `tab` names the browser's tab; the heading itself is a sentence and would be cut off there. */
export const PageHead = ({
  tab,
  title,
  crumbs = [],
  sub,
  actions,
}: {
  readonly tab: string;
  readonly title: ReactNode;
  readonly crumbs?: readonly Crumb[];
  readonly sub?: ReactNode;
  readonly actions?: ReactNode;
}) => {
  useEffect(() => {
    document.title = `${tab} · Berth`;
  }, [tab]);
  return (
    <div className="page-head">
      <div>
        {crumbs.length === 0 ? null : (
          <nav aria-label="Path">
            <ol className="crumbs">
              {crumbs.map((crumb) => (
                <li key={crumb.label}>
                  <Link to={crumb.to} query={crumb.query ?? ""}>
                    {crumb.label}
                  </Link>
                </li>
              ))}
            </ol>
          </nav>
        )}
        <h1 tabIndex={-1}>{title}</h1>
        {sub === undefined ? null : <div className="page-sub">{sub}</div>}
      </div>
      {actions === undefined ? null : <div className="toolbar">{actions}</div>}
    </div>
  );
};
