/** The image of a task that is being prepared, while its host brings it: a bar for each layer. Asks as long as it is shown. */
import { useEffect, useState } from "react";
import { formatBytes, type ImageBringing, type LayerProgress } from "@berth/schema";
import { fetchBringing } from "../api/client.ts";
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

export const Bringing = ({ id }: { readonly id: string }) => {
  const [seen, setSeen] = useState<ImageBringing | undefined>(undefined);
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = async (): Promise<void> => {
      const answer = await fetchBringing(id, abort.signal);
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
  }, [id]);
  if (seen === undefined || seen.layers.length === 0) return null;
  const done = seen.layers.filter(({ phase }) => phase === "done").length;
  return (
    <Section
      title="Bringing its image"
      aside={
        <span className="muted number">
          <code>{seen.image}</code> · {done} of {seen.layers.length} layers
        </span>
      }
    >
      <div className="card usage" aria-live="off">
        {seen.layers.map((layer) => (
          <Layer key={layer.digest} layer={layer} />
        ))}
      </div>
    </Section>
  );
};
