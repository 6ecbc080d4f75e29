/**
 * Images while a host works on them, for a task that is being prepared or because somebody ordered it: a bar for each layer.
 * Asks as long as it is shown.
 */
import { useCallback, useEffect, useState } from "react";
import {
  formatBytes,
  type ImageBringing,
  type ImageOperation,
  type ImageOperationList,
  type LayerProgress,
  type Result,
} from "@berth/schema";
import { fetchBringing, fetchImageOperations } from "../api/client.ts";
import { Section } from "../ui/panel.tsx";
import "../ui/fill.css";

const LOOK_MS = 1_000;

const shortOf = (digest: string): string => /^sha256:([0-9a-f]{12})/.exec(digest)?.[1] ?? digest.slice(-24);

const sizeText = ({ doneBytes, phase, totalBytes }: LayerProgress): string => {
  if (phase === "done") return "done";
  if (phase === "waiting") return "waiting";
  return `${phase} ${formatBytes(doneBytes)}${totalBytes === null ? "" : ` of ${formatBytes(totalBytes)}`}`;
};

const shareOf = ({ doneBytes, phase, totalBytes }: LayerProgress): number => {
  if (phase === "done") return 1;
  return totalBytes === null || totalBytes === 0 ? 0 : Math.min(1, doneBytes / totalBytes);
};

const Layer = ({ layer }: { readonly layer: LayerProgress }) => {
  const sentence = `layer ${shortOf(layer.digest)}: ${sizeText(layer)}`;
  return (
    <div>
      <p className="host-strip-head">
        <code title={layer.digest}>{shortOf(layer.digest)}</code>
        <span className="number muted">{sizeText(layer)}</span>
      </p>
      <svg className="fill" role="img" aria-label={sentence}>
        <title>{sentence}</title>
        <rect className="fill-track" width="100%" height="100%" />
        <rect className="fill-used" width={`${(shareOf(layer) * 100).toFixed(1)}%`} height="100%" />
      </svg>
    </div>
  );
};

/** The newest answer; asked again and again as long as it is shown. `ask` must stay the same. */
const useLatest = <T,>(ask: (signal: AbortSignal) => Promise<Result<T, unknown>>): T | undefined => {
  const [seen, setSeen] = useState<T | undefined>(undefined);
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = async (): Promise<void> => {
      const answer = await ask(abort.signal);
      if (abort.signal.aborted) return;
      // What cannot be had now may come with the next question.
      if (answer.ok) setSeen(answer.value);
      timer = setTimeout(() => void look(), LOOK_MS);
    };
    void look();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [ask]);
  return seen;
};

const Layers = ({ layers }: { readonly layers: readonly LayerProgress[] }) => (
  <div className="card usage" aria-live="off">
    {layers.map((layer) => (
      <Layer key={layer.digest} layer={layer} />
    ))}
  </div>
);

const DoneOf = ({ image, layers }: { readonly image: string; readonly layers: readonly LayerProgress[] }) => (
  <span className="muted number">
    <code>{image}</code> · {layers.filter(({ phase }) => phase === "done").length} of {layers.length} layers
  </span>
);

export const Bringing = ({ id }: { readonly id: string }) => {
  const seen = useLatest<ImageBringing>(useCallback((signal) => fetchBringing(id, signal), [id]));
  if (seen === undefined || seen.layers.length === 0) return null;
  return (
    <Section title="Bringing its image" aside={<DoneOf image={seen.image} layers={seen.layers} />}>
      <Layers layers={seen.layers} />
    </Section>
  );
};

const TITLES: Readonly<Record<ImageOperation["kind"], string>> = {
  pull: "Pulling an image",
  push: "Pushing an image",
  import: "Importing an image",
  export: "Exporting an image",
  build: "Building an image",
  commit: "Making an image",
  snapshot: "Taking a snapshot",
  remove: "Removing an image",
  prune: "Removing images",
  check: "Checking images",
  root: "Exporting files",
  volume_export: "Exporting a volume",
  volume_import: "Importing a volume",
};

/** What somebody ordered on a host, not what a task waits for. */
export const Ordered = ({ host }: { readonly host: string }) => {
  const seen = useLatest<ImageOperationList>(useCallback((signal) => fetchImageOperations(host, signal), [host]));
  return seen?.items.map(({ operation: { id, image, kind, layers } }) => (
    <Section key={id} title={TITLES[kind]} aside={<DoneOf image={image ?? ""} layers={layers} />}>
      <Layers layers={layers} />
    </Section>
  ));
};
