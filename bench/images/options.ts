/** The command line of the benchmark. */

export const MODES = ["mount", "pull", "disk", "memory"] as const;
export type Mode = (typeof MODES)[number];

export interface Options {
  readonly modes: ReadonlySet<Mode>;
  readonly rounds: number;
  readonly megabytes: number;
  readonly containers: number;
  readonly peers: boolean;
  readonly install: boolean;
  readonly json: boolean;
}

export const usage = `pnpm bench:images [options]
  --only LIST        of ${MODES.join(",")}; default: all
  --rounds N         interleaved rounds of cold pulls (default 3); mounts are 100 times as many
  --megabytes N      size of the image that is made and pulled (default 500)
  --containers N     how many are made from one image in mode disk (default 100)
  --no-peers         only Berth
  --no-install       leaves missing peers missing; otherwise they are installed from Debian (apt-get)
  --json             one JSON object per line`;

const COUNTS = ["--rounds", "--megabytes", "--containers"];
const VALUES = [...COUNTS, "--only"];
const KNOWN = [...VALUES, "--no-peers", "--no-install", "--json"];

export const parseOptions = (words: readonly string[]): Options => {
  const value = (name: string): string | undefined => {
    const at = words.indexOf(name);
    return at < 0 ? undefined : words[at + 1];
  };
  words.forEach((word, at) => {
    const isValue = at > 0 && VALUES.includes(words[at - 1] ?? "");
    if (!isValue && !KNOWN.includes(word)) throw new Error(`${word} is not an option\n${usage}`);
  });
  const count = (name: string, standard: number): number => {
    const number = Number(value(name) ?? standard);
    if (!Number.isSafeInteger(number) || number < 1) throw new Error(`${name} wants a whole number`);
    return number;
  };
  const modes = (value("--only")?.split(",") ?? MODES).map((word) => {
    const mode = MODES.find((candidate) => candidate === word);
    if (mode === undefined) throw new Error(`--only ${word}: the modes are ${MODES.join(", ")}`);
    return mode;
  });
  return {
    modes: new Set(modes),
    rounds: count("--rounds", 3),
    megabytes: count("--megabytes", 500),
    containers: count("--containers", 100),
    peers: !words.includes("--no-peers"),
    install: !words.includes("--no-install"),
    json: words.includes("--json"),
  };
};
