/** Buttons, chips and the small habit of copying what one points at. */
import { useState, type ComponentProps, type ReactNode } from "react";
import "./button.css";

export const Button = ({ kind, ...rest }: ComponentProps<"button"> & { readonly kind?: "danger" | "danger-solid" }) => (
  <button type="button" className="button" data-kind={kind} {...rest} />
);

export interface ChipChoice<T extends string> {
  readonly value: T;
  readonly label: string;
}

/** One of several views of the same list; `""` is all of it. */
export const Chips = <T extends string>({
  label,
  choices,
  value,
  onChange,
}: {
  readonly label: string;
  readonly choices: readonly ChipChoice<T>[];
  readonly value: T;
  readonly onChange: (value: T) => void;
}) => (
  <div className="chips" role="group" aria-label={label}>
    {choices.map((choice) => (
      <button
        key={choice.value}
        type="button"
        className="chip"
        aria-pressed={choice.value === value}
        onClick={() => onChange(choice.value)}
      >
        {choice.label}
      </button>
    ))}
  </div>
);

const CopyIcon = ({ done }: { readonly done: boolean }) => (
  <svg
    width="13"
    height="13"
    viewBox="0 0 13 13"
    aria-hidden="true"
    fill="none"
    stroke="currentColor"
    strokeWidth="1.3"
  >
    {done ? (
      <path d="m2.5 7 2.8 3 5.2-6.6" strokeLinecap="round" strokeLinejoin="round" />
    ) : (
      <path d="M4.5 4.5h6v6h-6zM2.5 8.5v-6h6" strokeLinejoin="round" />
    )}
  </svg>
);

/** A click copies `text`; the sign changes for a moment, and a screen reader hears it. */
export const Copy = ({
  text,
  what,
  children,
}: {
  readonly text: string;
  readonly what: string;
  readonly children?: ReactNode;
}) => {
  const [done, setDone] = useState(false);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Not allowed here (plain HTTP from another machine): the text stays selectable.
      return;
    }
    setDone(true);
    setTimeout(() => setDone(false), 1_500);
  };
  return (
    <button type="button" className="copy" title={`Copy ${what}`} onClick={() => void copy()}>
      {children}
      <CopyIcon done={done} />
      <span className="visually-hidden" aria-live="polite">
        {done ? "copied" : `copy ${what}`}
      </span>
    </button>
  );
};

/** A command to type, with a button that copies it. */
export const Command = ({ text }: { readonly text: string }) => (
  <div className="command">
    <code>{text}</code>
    <Copy text={text} what="command" />
  </div>
);
