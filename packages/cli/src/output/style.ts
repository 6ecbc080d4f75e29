/** Colour and glyphs, decided once per stream; and what keeps foreign text from steering a terminal. */
import picocolors from "picocolors";

export type Colors = ReturnType<typeof picocolors.createColors>;
export const createColors = (enabled: boolean): Colors => picocolors.createColors(enabled);

/** What a state is for the reader: fine, under way, waiting, bad, or over. */
export type Tone = "good" | "busy" | "idle" | "bad" | "quiet";

const TONES: Readonly<Record<string, Tone>> = {
  ready: "good",
  running: "good",
  succeeded: "good",
  ok: "good",
  placed: "busy",
  preparing: "busy",
  starting: "busy",
  stopping: "busy",
  pending: "idle",
  paused: "idle",
  warn: "idle",
  lost: "bad",
  failed: "bad",
  bad: "bad",
  exited: "quiet",
  stopped: "quiet",
};

export const toneOf = (state: string): Tone => TONES[state] ?? "quiet";

/** Applied after padding: escape sequences have no width. */
export const paint = (colors: Colors, tone: Tone, text: string): string => {
  switch (tone) {
    case "good":
      return colors.green(text);
    case "busy":
      return colors.cyan(text);
    case "idle":
      return colors.yellow(text);
    case "bad":
      return colors.red(text);
    case "quiet":
      return colors.dim(text);
  }
};

/**
 * Text from elsewhere as one harmless line: control characters (C0, DEL, C1) become visible, so that a container's
 * message cannot move the cursor, change the title or hide a line.
 */
export const plainLine = (text: string): string =>
  // oxlint-disable-next-line no-control-regex
  text.replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, (char) => {
    const code = char.codePointAt(0) ?? 0;
    return code === 9 || code === 10 || code === 13
      ? " "
      : code < 0x20
        ? String.fromCodePoint(0x2400 + code)
        : "\ufffd";
  });
