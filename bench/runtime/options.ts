/** The command line of the benchmark. */

export const MODES = ["warm", "cold", "bridge", "rate", "loop", "memory", "hold", "links", "kernel"] as const;
export type Mode = (typeof MODES)[number];

export interface Options {
  readonly modes: ReadonlySet<Mode>;
  readonly rounds: number;
  readonly containers: number;
  readonly peers: boolean;
  readonly install: boolean;
  readonly json: boolean;
}

export const usage = `pnpm bench:runtime [options]
  --only LIST        of ${MODES.join(",")}; default: all but hold and links
  --rounds N         interleaved rounds of warm starts; of cold ones there are twice as many (default 30)
  --containers N     how many are held in mode hold (default 2000); links holds 1,200 with a network
  --no-peers         only the floor and Berth
  --no-install       leaves missing peers missing; otherwise they are installed from Debian (apt-get)
  --json             one JSON object per line`;

export const parseOptions = (words: readonly string[]): Options => {
  const value = (name: string): string | undefined => {
    const at = words.indexOf(name);
    return at < 0 ? undefined : words[at + 1];
  };
  const known = ["--only", "--rounds", "--containers", "--no-peers", "--no-install", "--json"];
  words.forEach((word, at) => {
    const isValue = at > 0 && ["--only", "--rounds", "--containers"].includes(words[at - 1] ?? "");
    if (!isValue && !known.includes(word)) throw new Error(`${word} is not an option\n${usage}`);
  });
  const count = (name: string, standard: number): number => {
    const number = Number(value(name) ?? standard);
    if (!Number.isSafeInteger(number) || number < 1) throw new Error(`${name} wants a whole number`);
    return number;
  };
  const wanted = value("--only")?.split(",") ?? MODES.filter((mode) => mode !== "hold" && mode !== "links");
  const modes = wanted.map((word) => {
    const mode = MODES.find((candidate) => candidate === word);
    if (mode === undefined) throw new Error(`--only ${word}: the modes are ${MODES.join(", ")}`);
    return mode;
  });
  return {
    modes: new Set(modes),
    rounds: count("--rounds", 30),
    containers: count("--containers", 2000),
    peers: !words.includes("--no-peers"),
    install: !words.includes("--no-install"),
    json: words.includes("--json"),
  };
};
