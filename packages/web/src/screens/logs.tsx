/**
 * What a task wrote, as it writes it. Following ends the moment the reader scrolls up and the view never moves by itself
 * after that; "new lines" goes back to the end. Lines are text nodes: nothing that a program prints can become markup.
 */
import { memo, useEffect, useLayoutEffect, useRef, useState } from "react";
import { Routes, routePath, type AllocationView } from "@berth/schema";
import type { LogBlock, LogView } from "../api/log-buffer.ts";
import { followLogs, MAX_LINES, type LogStatus } from "../api/log-stream.ts";
import { hasEnded } from "../live/replica.ts";
import { plural } from "../model/format.ts";
import { useQueryParam } from "../route/navigation.tsx";
import { Chips } from "../ui/button.tsx";
import { Section } from "../ui/panel.tsx";
import "./logs.css";

const NOTHING: LogView = { blocks: [], total: 0, dropped: 0 };
const OPENING: LogStatus = { kind: "opening", failure: undefined };
/** This close to the end counts as the end: fractions of pixels at some zoom levels, and half a line. */
const AT_END_PX = 12;

const useLog = (id: string, stream: "stdout" | "stderr", ended: boolean) => {
  const [view, setView] = useState(NOTHING);
  const [status, setStatus] = useState(OPENING);
  const endedNow = useRef(ended);
  useEffect(() => {
    endedNow.current = ended;
  }, [ended]);
  useEffect(() => {
    const abort = new AbortController();
    setView(NOTHING);
    setStatus(OPENING);
    void followLogs(
      { allocation: id, stream, ended: () => endedNow.current, onView: setView, onStatus: setStatus },
      abort.signal,
    );
    return () => abort.abort();
  }, [id, stream]);
  return { view, status };
};

const Block = memo(
  ({ block }: { readonly block: LogBlock }) => (
    <div>
      {block.lines.map((line, at) => (
        // The number of a line never changes, so it is the line's identity.
        <div key={block.first + at} className="log-line">
          {line === "" ? "\u00a0" : line}
        </div>
      ))}
    </div>
  ),
  (before, after) => before.block.first === after.block.first && before.block.lines === after.block.lines,
);
Block.displayName = "Block";

const statusText = (status: LogStatus, view: LogView, ended: boolean, following: boolean): string => {
  const lines = plural(view.total, "line");
  switch (status.kind) {
    case "opening":
      return ended ? "opening" : "nothing written yet";
    case "following":
      return ended ? lines : `${lines}, ${following ? "following" : "stays where you are"}`;
    case "waiting":
      return "nothing written yet";
    case "failing":
      return `${status.failure?.detail ?? status.failure?.title ?? "the host does not answer"}; trying again`;
    case "done":
      return status.failure === undefined ? `${lines}, ended` : (status.failure.detail ?? status.failure.title);
  }
};

export const Logs = ({ allocation }: { readonly allocation: AllocationView }) => {
  const [choice, setChoice] = useQueryParam("stream");
  const stream = choice === "stderr" ? "stderr" : "stdout";
  const ended = hasEnded(allocation);
  const { view, status } = useLog(allocation.id, stream, ended);
  const [wrap, setWrap] = useState(true);
  /** The number of lines there were when the reader scrolled up; undefined while the end is followed. */
  const [leftAt, setLeftAt] = useState<number>();
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const lastTop = useRef(0);
  const following = leftAt === undefined;

  const toEnd = (): void => {
    const box = scroller.current;
    if (box === null) return;
    box.scrollTop = box.scrollHeight;
    lastTop.current = box.scrollTop;
  };
  useEffect(() => setLeftAt(undefined), [stream]);
  useLayoutEffect(() => {
    if (following) toEnd();
  }, [view, following, wrap]);
  useEffect(() => {
    if (!following || content.current === null) return undefined;
    // A narrower window wraps more lines, which moves the end without a new line.
    const observer = new ResizeObserver(toEnd);
    observer.observe(content.current);
    return () => observer.disconnect();
  }, [following]);

  const onScroll = (): void => {
    const box = scroller.current;
    if (box === null) return;
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight <= AT_END_PX;
    // Only going up is leaving: text that grows below an unmoved view is not the reader's doing.
    const wentUp = box.scrollTop < lastTop.current;
    lastTop.current = box.scrollTop;
    if (atEnd) setLeftAt(undefined);
    else if (wentUp) setLeftAt((before) => before ?? view.total);
  };
  const fresh = leftAt === undefined ? 0 : view.total - leftAt;
  const path = routePath(Routes.allocationLogs, { allocation: allocation.id });
  return (
    <Section
      title="Output"
      aside={
        <div className="log-tools">
          <label className="log-wrap">
            <input type="checkbox" checked={wrap} onChange={(event) => setWrap(event.target.checked)} />
            Wrap lines
          </label>
          <a href={`${path}?stream=${stream}`} download={`${allocation.job}-${allocation.index}.${stream}.log`}>
            Download
          </a>
          <Chips
            label="Stream"
            value={stream}
            onChange={(value) => setChoice(value === "stdout" ? "" : value)}
            choices={[
              { value: "stdout", label: "stdout" },
              { value: "stderr", label: "stderr" },
            ]}
          />
        </div>
      }
    >
      <div className="log card" data-wrap={wrap}>
        <div
          ref={scroller}
          className="log-scroller"
          role="region"
          aria-label={`${stream} of ${allocation.job}[${allocation.index}]`}
          tabIndex={0}
          onScroll={onScroll}
        >
          <div ref={content}>
            {view.dropped === 0 ? null : (
              <p className="log-note">
                {plural(view.dropped, "earlier line")} not shown: the last {MAX_LINES.toLocaleString("en-US")} are kept
                here, the download has all.
              </p>
            )}
            {view.blocks.map((block) => (
              <Block key={block.first} block={block} />
            ))}
            {view.total === 0 && status.kind === "done" && status.failure === undefined ? (
              <p className="log-note">It wrote nothing to {stream}.</p>
            ) : null}
          </div>
        </div>
        {leftAt === undefined ? null : (
          <button type="button" className="log-jump" onClick={() => setLeftAt(undefined)}>
            {fresh === 0 ? "To the end" : plural(fresh, "new line")} <span aria-hidden="true">↓</span>
          </button>
        )}
        <p className="log-status" data-kind={status.kind}>
          {statusText(status, view, ended, following)}
        </p>
      </div>
    </Section>
  );
};
