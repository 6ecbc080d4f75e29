/**
 * Single keys that go places. The same list makes them work and explains them. They can be switched off (WCAG 2.1.4),
 * and never act while somebody types or while a dialog is open.
 */
import { useEffect, useState } from "react";
import { Dialog } from "../ui/dialog.tsx";
import { navigate } from "../route/navigation.tsx";
import { hrefOf } from "../route/route.ts";
import "./shortcuts.css";

interface Shortcut {
  /** `g o` is two keys, one after the other. */
  readonly keys: string;
  readonly says: string;
  readonly run: () => void;
}

const SEQUENCE_MS = 1_200;
const STORE_KEY = "berth.shortcuts";

/** Moves the focus between the rows of the screen. */
const moveRow = (step: 1 | -1): void => {
  const rows = [...document.querySelectorAll<HTMLElement>("main .row-link")];
  const at = rows.indexOf(document.activeElement as HTMLElement);
  const next = rows[at === -1 ? (step === 1 ? 0 : rows.length - 1) : at + step];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
};

const focusFilter = (): boolean => {
  const filter = document.querySelector<HTMLInputElement>("main [data-filter]");
  filter?.focus();
  filter?.select();
  return filter !== null;
};

const shortcuts = (help: () => void): readonly Shortcut[] => [
  { keys: "g o", says: "Go to the overview", run: () => navigate(hrefOf({ screen: "overview" })) },
  { keys: "g h", says: "Go to hosts", run: () => navigate(hrefOf({ screen: "hosts" })) },
  { keys: "g j", says: "Go to jobs", run: () => navigate(hrefOf({ screen: "jobs" })) },
  {
    keys: "/",
    says: "Filter",
    run: () => {
      if (focusFilter()) return;
      navigate(hrefOf({ screen: "jobs" }));
      requestAnimationFrame(focusFilter);
    },
  },
  { keys: "j", says: "Next row", run: () => moveRow(1) },
  { keys: "k", says: "Previous row", run: () => moveRow(-1) },
  { keys: "?", says: "This list", run: help },
];

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  target.closest("input:not([type=radio],[type=checkbox]), textarea, select, [contenteditable]") !== null;

const stored = (): boolean => {
  try {
    return localStorage.getItem(STORE_KEY) !== "off";
  } catch {
    return true;
  }
};
const store = (enabled: boolean): void => {
  try {
    if (enabled) localStorage.removeItem(STORE_KEY);
    else localStorage.setItem(STORE_KEY, "off");
  } catch {
    // Storage is blocked: the choice lasts as long as the page.
  }
};

const useKeys = (list: readonly Shortcut[], enabled: boolean): void => {
  useEffect(() => {
    if (!enabled) return undefined;
    let prefix = "";
    let prefixAtMs = 0;
    const onKey = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || isTyping(event.target)) return;
      if (document.querySelector("dialog[open]") !== null) return;
      const before = event.timeStamp - prefixAtMs < SEQUENCE_MS ? `${prefix} ` : "";
      const keys = before + event.key;
      prefix = "";
      const match =
        list.find((shortcut) => shortcut.keys === keys) ?? list.find((shortcut) => shortcut.keys === event.key);
      if (match !== undefined) {
        event.preventDefault();
        match.run();
      } else if (list.some((shortcut) => shortcut.keys.startsWith(`${event.key} `))) {
        prefix = event.key;
        prefixAtMs = event.timeStamp;
      }
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [list, enabled]);
};

const Keys = ({ keys }: { readonly keys: string }) => (
  <span className="keys">
    {keys.split(" ").map((key) => (
      <kbd key={key}>{key}</kbd>
    ))}
  </span>
);

/** Listens for the keys, and is the button that explains them. */
export const Shortcuts = () => {
  const [open, setOpen] = useState(false);
  const [enabled, setEnabled] = useState(stored);
  const [list] = useState(() => shortcuts(() => setOpen(true)));
  useKeys(list, enabled);
  return (
    <>
      <button type="button" className="help-button" title="Keyboard shortcuts" onClick={() => setOpen(true)}>
        <span aria-hidden="true">?</span>
        <span className="visually-hidden">Keyboard shortcuts</span>
      </button>
      {open ? (
        <Dialog title="Keyboard" onClose={() => setOpen(false)}>
          <ul className="key-list">
            {list.map((shortcut) => (
              <li key={shortcut.keys}>
                <span>{shortcut.says}</span>
                <Keys keys={shortcut.keys} />
              </li>
            ))}
            <li>
              <span>Open the row in focus</span>
              <Keys keys="Enter" />
            </li>
            <li>
              <span>Close a dialog</span>
              <Keys keys="Esc" />
            </li>
          </ul>
          <label className="key-switch">
            <input
              type="checkbox"
              checked={enabled}
              onChange={(event) => {
                store(event.target.checked);
                setEnabled(event.target.checked);
              }}
            />
            Single keys act as shortcuts
          </label>
          <div className="dialog-actions">
            <button type="button" className="button" onClick={() => setOpen(false)}>
              Close
            </button>
          </div>
        </Dialog>
      ) : null}
    </>
  );
};
