/** Small shapes, drawn here so that they look the same with every font. They are decoration: a word stands beside them. */
import type { ReactNode } from "react";
import type { Glyph as Name, Status } from "../model/status.ts";
import "./glyph.css";

const stroke = {
  fill: "none",
  stroke: "currentColor",
  strokeWidth: 1.7,
  strokeLinecap: "round",
  strokeLinejoin: "round",
} as const;

const SHAPES: Readonly<Record<Name, ReactNode>> = {
  disc: <circle cx="6" cy="6" r="3.4" fill="currentColor" />,
  half: (
    <>
      <circle cx="6" cy="6" r="3.9" {...stroke} strokeWidth={1.5} />
      <path d="M6 2.6a3.4 3.4 0 0 1 0 6.8z" fill="currentColor" />
    </>
  ),
  ring: <circle cx="6" cy="6" r="3.7" {...stroke} />,
  triangle: (
    <>
      <path d="M6 1.6 11 10.4H1z" fill="currentColor" stroke="currentColor" strokeWidth="1" strokeLinejoin="round" />
      <path d="M6 4.8v2.6" stroke="var(--surface)" strokeWidth="1.3" strokeLinecap="round" />
      <circle cx="6" cy="9" r=".75" fill="var(--surface)" />
    </>
  ),
  cross: <path d="m2.8 2.8 6.4 6.4m0-6.4L2.8 9.2" {...stroke} strokeWidth={1.9} />,
  question: <path d="M3.6 4.1a2.4 2.4 0 1 1 3.5 2.2c-.8.4-1.1.8-1.1 1.5M6 10.2v.1" {...stroke} />,
  turn: <path d="M2.2 8.6C2.2 5 4.6 3.6 9 3.9M6.8 1.6 9.2 4 6.8 6.3" {...stroke} />,
  check: <path d="m2.2 6.4 2.6 2.7 5-6" {...stroke} />,
  square: <rect x="3" y="3" width="6" height="6" rx="1" fill="currentColor" />,
};

export const Glyph = ({ name }: { readonly name: Name }) => (
  <svg className="glyph" width="12" height="12" viewBox="0 0 12 12" aria-hidden="true">
    {SHAPES[name]}
  </svg>
);

/** Shape and word in the colour of the tone. `detail` follows in the secondary colour. */
export const StatusBadge = ({ status, detail }: { readonly status: Status; readonly detail?: string | undefined }) => (
  <span className="status" data-tone={status.tone}>
    <Glyph name={status.glyph} />
    <span>
      {status.word}
      {detail === undefined ? null : <span className="muted"> {detail}</span>}
    </span>
  </span>
);
