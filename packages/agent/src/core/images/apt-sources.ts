/**
 * Where this host's own apt has Debian from (sources.list(5), both forms): a distribution is built from the same mirror
 * unless somebody says otherwise. Reads text and decides; knows no file.
 */
export interface AptSource {
  readonly uri: string;
  readonly suites: readonly string[];
  readonly components: readonly string[];
}

const CODENAMES = new Set([
  "bullseye",
  "bookworm",
  "trixie",
  "forky",
  "sid",
  "oldstable",
  "stable",
  "testing",
  "unstable",
]);
const words = (text: string | undefined): readonly string[] => (text ?? "").split(/\s+/).filter((word) => word !== "");

/** One line: `deb [options] URI suite components…`. */
const ofLine = (line: string): AptSource | undefined => {
  const [, uri, suite, components] = /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s*([^#]*)/.exec(line.trim()) ?? [];
  return uri === undefined || suite === undefined ? undefined : { uri, suites: [suite], components: words(components) };
};

/** A stanza of a `.sources` file (deb822): fields, continued by lines that begin with a space. */
const ofStanza = (stanza: string): readonly AptSource[] => {
  const fields = new Map<string, string>();
  let last = "";
  for (const line of stanza.split("\n")) {
    if (line.startsWith("#")) continue;
    const [, name, value] = /^([A-Za-z-]+):(.*)$/.exec(line) ?? [];
    if (name !== undefined) {
      last = name.toLowerCase();
      fields.set(last, value ?? "");
    } else if (/^\s/.test(line)) fields.set(last, `${fields.get(last) ?? ""} ${line}`);
  }
  if (/^\s*(?:no|false|0|off|disable)\s*$/i.test(fields.get("enabled") ?? "")) return [];
  if (!words(fields.get("types")).includes("deb")) return [];
  const suites = words(fields.get("suites"));
  return words(fields.get("uris")).map((uri) => ({ uri, suites, components: words(fields.get("components")) }));
};

export interface AptFile {
  /** Ends in `.list` or `.sources`. */
  readonly name: string;
  readonly text: string;
}

export const parseAptSources = (files: readonly AptFile[]): readonly AptSource[] =>
  files.flatMap(({ name, text }) =>
    name.endsWith(".sources")
      ? text.split(/\n\s*\n/).flatMap(ofStanza)
      : text.split("\n").flatMap((line) => ofLine(line) ?? []),
  );

export interface Mirrors {
  readonly mirror: string;
  /** Of security updates; undefined: there are none. */
  readonly securityMirror: string | undefined;
}

/** The first that has Debian itself, and the first that has its security updates. */
export const debianMirrors = (sources: readonly AptSource[]): Mirrors | undefined => {
  const having = (fits: (suite: string) => boolean): string | undefined =>
    sources.find(({ components, suites }) => components.includes("main") && suites.some(fits))?.uri;
  const mirror = having((suite) => CODENAMES.has(suite));
  if (mirror === undefined) return undefined;
  return {
    mirror,
    securityMirror: having(
      (suite) => suite.endsWith("-security") && CODENAMES.has(suite.slice(0, -"-security".length)),
    ),
  };
};
