/** The version of this package, the same from source and from dist. */
import { readFileSync } from "node:fs";

export const packageVersion = (): string => {
  const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  return version;
};
