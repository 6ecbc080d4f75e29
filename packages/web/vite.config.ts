import react from "@vitejs/plugin-react";
import { defaultClientConditions, defineConfig } from "vite";
import { budget } from "./tools/budget.ts";

/**
 * The bundle is served under a content security policy of 'self' only: nothing inline, nothing as a data: address.
 * `source` lets the schema package be read as it is written, so that the dashboard builds without building it first.
 */
export default defineConfig({
  plugins: [react(), budget({ firstRouteGzipBytes: 150 * 1024 })],
  resolve: { conditions: ["source", ...defaultClientConditions] },
  build: {
    target: "baseline-widely-available",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1024,
  },
});
