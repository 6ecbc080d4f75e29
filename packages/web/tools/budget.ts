/**
 * Fails the build when the first route asks for more than its budget of JavaScript, or when the bundle holds something
 * that the content security policy would refuse at run time: generated code, an inline script, a foreign address.
 */
import { gzipSync } from "node:zlib";
import type { Plugin } from "vite";

interface Chunk {
  readonly type: "chunk";
  readonly fileName: string;
  readonly code: string;
  readonly isEntry: boolean;
  readonly imports: readonly string[];
}
interface Asset {
  readonly type: "asset";
  readonly fileName: string;
  readonly source: string | Uint8Array;
}

/** The entry and everything it imports statically: what a browser must have before it draws anything. */
const firstRoute = (chunks: ReadonlyMap<string, Chunk>): Chunk[] => {
  const seen = new Set<Chunk>();
  const visit = (chunk: Chunk | undefined): void => {
    if (chunk === undefined || seen.has(chunk)) return;
    seen.add(chunk);
    for (const name of chunk.imports) visit(chunks.get(name));
  };
  for (const chunk of chunks.values()) if (chunk.isEntry) visit(chunk);
  return [...seen];
};

/** Namespaces and the error page that React names in its messages are text, never requested. */
const HARMLESS = /https?:\/\/(www\.w3\.org\/|react\.dev\/errors\/)/g;

const refuse = (name: string, code: string): string | undefined => {
  if (/\bnew Function\b|\beval\(/.test(code)) return `${name} makes code at run time, which the policy forbids`;
  const foreign = /https?:\/\/[^\s"'`)]+/.exec(code.replace(HARMLESS, ""));
  return foreign === null ? undefined : `${name} names a foreign address: ${foreign[0].slice(0, 80)}`;
};

export const budget = (limit: { readonly firstRouteGzipBytes: number }): Plugin => ({
  name: "berth-budget",
  apply: "build",
  generateBundle: {
    order: "post",
    handler(_options, bundle): void {
      const files = Object.values(bundle) as (Chunk | Asset)[];
      const chunks = new Map(files.filter((file) => file.type === "chunk").map((file) => [file.fileName, file]));
      for (const file of files) {
        const text = file.type === "chunk" ? file.code : String(file.source);
        const refusal = /\.(js|css)$/.test(file.fileName) ? refuse(file.fileName, text) : undefined;
        if (refusal !== undefined) this.error(refusal);
        if (file.fileName.endsWith(".html") && /<script(?![^>]*\bsrc=)|<style|\sstyle=/.test(text)) {
          this.error(`${file.fileName} holds an inline script or style`);
        }
      }
      const route = firstRoute(chunks);
      const bytes = route.reduce((sum, chunk) => sum + gzipSync(chunk.code).byteLength, 0);
      const kib = (value: number): string => `${(value / 1024).toFixed(1)} KiB`;
      if (bytes > limit.firstRouteGzipBytes) {
        this.error(
          `the first route is ${kib(bytes)} of JavaScript (gzip); its budget is ${kib(limit.firstRouteGzipBytes)}`,
        );
      }
      this.info(`first route: ${kib(bytes)} of ${kib(limit.firstRouteGzipBytes)} JavaScript (gzip)`);
    },
  },
});
