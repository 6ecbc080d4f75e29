/**
 * How far operations on images are: on a terminal a bar per layer, redrawn in place; elsewhere a line when a layer comes
 * to another phase. Pure text but for the writing.
 */
import { formatBytes, type ImageOperation, type LayerProgress } from "@berth/schema";
import type { Sink } from "../io.ts";
import { cut } from "./width.ts";

const BAR = 24;
/** More lines than a terminal has cannot be redrawn. */
const MAX_LINES = 20;

export interface Followed {
  readonly host: string;
  readonly operation: Pick<ImageOperation, "kind" | "layers" | "state">;
}

const shortOf = (digest: string): string => /^sha256:([0-9a-f]{12})/.exec(digest)?.[1] ?? digest.slice(-24);

export const layerBar = ({ digest, doneBytes, phase, totalBytes }: LayerProgress): string => {
  const ratio =
    totalBytes === null || totalBytes === 0 ? (phase === "done" ? 1 : 0) : Math.min(1, doneBytes / totalBytes);
  const full = Math.floor((phase === "done" ? 1 : ratio) * BAR);
  const size = totalBytes === null ? formatBytes(doneBytes) : `${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`;
  return `${shortOf(digest).padEnd(12)}  ${"█".repeat(full)}${"─".repeat(BAR - full)}  ${phase === "done" ? "done" : `${phase} ${size}`}`;
};

/** Layers that still move, and how many are done. */
const linesOf = (followed: readonly Followed[]): string[] => {
  const lines: string[] = [];
  for (const { host, operation } of followed) {
    const { layers } = operation;
    const done = layers.filter(({ phase }) => phase === "done").length;
    const state = operation.state === "running" ? "" : ` · ${operation.state}`;
    lines.push(
      `${host}: ${operation.kind}${layers.length === 0 ? "" : `, ${done} of ${layers.length} layers`}${state}`,
    );
    if (operation.state === "running") {
      lines.push(...layers.filter(({ phase }) => phase !== "done").map((layer) => `  ${layerBar(layer)}`));
    }
  }
  return lines.slice(0, MAX_LINES);
};

export interface LayerView {
  readonly update: (followed: readonly Followed[]) => Promise<void>;
  /** Before anything else is written. */
  readonly clear: () => Promise<void>;
}

/** `quiet`: says nothing at all. */
export const createLayerView = (sink: Sink, quiet: boolean): LayerView => {
  let drawn = 0;
  const said = new Map<string, string>();
  const clear = async (): Promise<void> => {
    if (drawn === 0) return;
    await sink.write(`\u001b[${drawn}A\r\u001b[J`);
    drawn = 0;
  };
  return {
    clear,
    update: async (followed) => {
      if (quiet) return;
      if (sink.isTty) {
        const width = Math.max(20, (sink.columns() ?? 80) - 1);
        const lines = linesOf(followed).map((line) => cut(line, width));
        const up = drawn === 0 ? "" : `\u001b[${drawn}A\r\u001b[J`;
        drawn = lines.length;
        await sink.write(`${up}${lines.join("\n")}\n`);
        return;
      }
      for (const { host, operation } of followed) {
        for (const { digest, phase, totalBytes } of operation.layers) {
          const key = `${host} ${digest}`;
          if (phase === "waiting" || said.get(key) === phase) continue;
          said.set(key, phase);
          const size = totalBytes === null ? "" : ` (${formatBytes(totalBytes)})`;
          await sink.write(`${host}: ${shortOf(digest)} ${phase}${size}\n`);
        }
      }
    },
  };
};
