/** For a browser without a session: how to get one. It comes back by itself once the login link was opened. */
import { useEffect } from "react";
import { useLive } from "../live/store.ts";
import { Mark } from "../shell/shell.tsx";
import { Button, Command } from "../ui/button.tsx";
import { ThemeChoice } from "../ui/theme.tsx";
import "./signed-out.css";

export const SignedOut = () => {
  const live = useLive();
  useEffect(() => {
    document.title = "Sign in · Berth";
  }, []);
  return (
    <main className="signed-out">
      <p className="brand">
        <Mark />
        <span className="brand-name">Berth</span>
      </p>
      <h1 tabIndex={-1}>This browser is not signed in</h1>
      <p>
        On the machine that runs the scheduler, ask for a login link and open it here. It works once, for a short time.
      </p>
      <Command text="npx berth dashboard" />
      <p className="muted">
        Starting Berth prints a link as well. When you have opened it, this page goes on by itself.
      </p>
      <div className="signed-out-end">
        <Button onClick={live.retry}>Try again</Button>
        <ThemeChoice />
      </div>
    </main>
  );
};
