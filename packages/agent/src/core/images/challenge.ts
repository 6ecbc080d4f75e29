/** What a registry asks for with 401: the `WWW-Authenticate` header (RFC 9110, 11.6.1; RFC 6750 for Bearer). */

export interface Challenge {
  readonly scheme: "basic" | "bearer";
  readonly parameters: Readonly<Record<string, string>>;
}

const MAX_HEADER = 8192;
const scheme = /[\s,]*([A-Za-z]+)(?=[\s,]|$)/y;
const parameter = /\s*([A-Za-z_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))\s*(?:,|$)/y;

/** The challenges that can be answered, in their order. Nonsense gives none. */
export const parseChallenges = (header: string): readonly Challenge[] => {
  if (header.length > MAX_HEADER) return [];
  const found: Challenge[] = [];
  let at = 0;
  while (at < header.length) {
    scheme.lastIndex = at;
    const name = scheme.exec(header);
    if (name === null) break;
    at = scheme.lastIndex;
    const parameters: Record<string, string> = {};
    for (;;) {
      parameter.lastIndex = at;
      const next = parameter.exec(header);
      if (next === null) break;
      at = parameter.lastIndex;
      const [, key = "", quoted, plain] = next;
      parameters[key.toLowerCase()] = plain ?? (quoted ?? "").replaceAll(/\\(.)/g, "$1");
    }
    const kind = name[1]?.toLowerCase();
    if (kind === "basic" || kind === "bearer") found.push({ scheme: kind, parameters });
  }
  return found;
};
