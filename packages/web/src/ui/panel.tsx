/** The few shapes that screens are made of: a titled section, a list of facts, a notice, a list that grows on request. */
import { useId, useState, type ReactNode } from "react";
import { Button } from "./button.tsx";
import type { Tone } from "../model/status.ts";
import "./panel.css";

export const Section = ({
  title,
  aside,
  children,
}: {
  readonly title: string;
  readonly aside?: ReactNode;
  readonly children: ReactNode;
}) => {
  const id = useId();
  return (
    <section className="section" aria-labelledby={id}>
      <div className="section-head">
        <h2 id={id}>{title}</h2>
        {aside}
      </div>
      {children}
    </section>
  );
};

export type Fact = readonly [label: string, value: ReactNode];

/** Names and values. A fact whose value is null has nothing to say and is left out. */
export const Facts = ({ facts }: { readonly facts: readonly Fact[] }) => (
  <dl className="facts">
    {facts
      .filter(([, value]) => value !== null)
      .map(([label, value]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd>{value}</dd>
        </div>
      ))}
  </dl>
);

export const Notice = ({
  tone,
  title,
  children,
}: {
  readonly tone: Tone;
  readonly title: string;
  readonly children?: ReactNode;
}) => (
  <div className="notice" data-tone={tone}>
    <p className="notice-title">{title}</p>
    {children}
  </div>
);

/** What stands where a list would be. It says what to do next. */
export const Empty = ({ title, children }: { readonly title: string; readonly children?: ReactNode }) => (
  <div className="empty">
    <p className="empty-title">{title}</p>
    {children}
  </div>
);

const STEP = 100;

/** Draws a long list a hundred at a time: nobody reads ten thousand rows, and a browser should not lay them out. */
export const useSome = <T,>(items: readonly T[]): readonly [readonly T[], ReactNode] => {
  const [limit, setLimit] = useState(STEP);
  const hidden = items.length - limit;
  const more =
    hidden <= 0 ? null : (
      <p className="more">
        <Button onClick={() => setLimit(limit + STEP)}>Show {Math.min(STEP, hidden)} more</Button>{" "}
        <span className="muted number">
          {limit} of {items.length.toLocaleString("en-US")}
        </span>
      </p>
    );
  return [items.slice(0, limit), more];
};
