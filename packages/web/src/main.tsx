/** Starts the feed and draws. */
import "./styles/tokens.css";
import "./styles/base.css";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app.tsx";
import { browserPorts, retryWhenLookedAt } from "./live/browser.ts";
import { createLive, LiveProvider } from "./live/store.ts";

const root = document.querySelector("#root");
if (root === null) throw new Error("index.html has no #root");

const live = createLive(browserPorts);
retryWhenLookedAt(live);
live.start();
createRoot(root).render(
  <StrictMode>
    <LiveProvider value={live}>
      <App />
    </LiveProvider>
  </StrictMode>,
);
