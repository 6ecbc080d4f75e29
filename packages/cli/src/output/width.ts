/** How many cells a text takes in a terminal, and how to cut it to fit. By grapheme, so that nothing is cut in half. */
const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" });

// East Asian wide and fullwidth ranges and pictographs (UAX #11, coarse): two cells each.
const WIDE =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6]|^\p{Emoji_Presentation}|^[\u{20000}-\u{3fffd}]/u;
// oxlint-disable-next-line no-control-regex
const ASCII = /^[\u0020-\u007e]*$/;

const cell = (grapheme: string): number => {
  if (/^\p{Mark}/u.test(grapheme)) return 0;
  return WIDE.test(grapheme) ? 2 : 1;
};

export const widthOf = (text: string): number => {
  if (ASCII.test(text)) return text.length;
  let width = 0;
  for (const { segment } of segmenter.segment(text)) width += cell(segment);
  return width;
};

/** At most `width` cells; what is cut off is shown as `…`. */
export const cut = (text: string, width: number): string => {
  if (widthOf(text) <= width) return text;
  if (width <= 0) return "";
  let result = "";
  let used = 0;
  for (const { segment } of segmenter.segment(text)) {
    const more = cell(segment);
    if (used + more > width - 1) break;
    result += segment;
    used += more;
  }
  return `${result}…`;
};

export const pad = (text: string, width: number, align: "left" | "right"): string => {
  const space = " ".repeat(Math.max(0, width - widthOf(text)));
  return align === "left" ? text + space : space + text;
};
