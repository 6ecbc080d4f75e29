/**
 * The last lines of a text stream, bounded in both directions: at most `maxLines` lines of at most `maxLineLength`
 * characters. Lines are kept in blocks that never change once they are full, so that a screen only draws the last one.
 */

export interface LogBlock {
  /** Number of its first line since the stream began. */
  readonly first: number;
  readonly lines: readonly string[];
}
export interface LogView {
  readonly blocks: readonly LogBlock[];
  /** Lines since the stream began, an unfinished last one included. */
  readonly total: number;
  /** Lines that are not kept any more. */
  readonly dropped: number;
}
export interface LogBuffer {
  readonly push: (text: string) => void;
  readonly view: () => LogView;
}

const BLOCK_LINES = 100;

// Terminal sequences (colours, cursor, titles) mean nothing in a list of lines. ECMA-48 §5.4, and OSC up to BEL or ST.
// oxlint-disable-next-line no-control-regex
const SEQUENCES = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])/g;

/** A line as it would stand on a terminal: what a lone carriage return has overwritten is gone. */
const settle = (line: string): string => {
  const text = line.replace(/\r+$/, "").replace(SEQUENCES, "");
  return text.slice(text.lastIndexOf("\r") + 1);
};

export const createLogBuffer = (limits: { readonly maxLines: number; readonly maxLineLength: number }): LogBuffer => {
  let closed: LogBlock[] = [];
  let open: string[] = [];
  let openFirst = 0;
  let rest = "";

  const add = (line: string): void => {
    open.push(settle(line));
    if (open.length < BLOCK_LINES) return;
    closed.push({ first: openFirst, lines: open });
    openFirst += open.length;
    open = [];
    // Whole blocks are dropped: the rest of the screen does not change.
    if (closed.length * BLOCK_LINES > limits.maxLines - BLOCK_LINES) closed = closed.slice(1);
  };
  const addLong = (line: string): void => {
    for (let at = 0; at === 0 || at < line.length; at += limits.maxLineLength)
      add(line.slice(at, at + limits.maxLineLength));
  };

  return {
    push: (text) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) addLong(line);
      while (rest.length > limits.maxLineLength) {
        add(rest.slice(0, limits.maxLineLength));
        rest = rest.slice(limits.maxLineLength);
      }
    },
    view: () => {
      const last = rest === "" ? open : [...open, settle(rest)];
      const blocks = last.length === 0 ? [...closed] : [...closed, { first: openFirst, lines: [...last] }];
      return { blocks, total: openFirst + last.length, dropped: blocks[0]?.first ?? openFirst };
    },
  };
};
