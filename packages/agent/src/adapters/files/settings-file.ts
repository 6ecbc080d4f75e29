/**
 * A JSON file that an operator writes, read again whenever it changes. It may be absent; one that is wrong is an error that
 * names the file and the place, at every use until it is mended.
 */
import { readFile, stat } from "node:fs/promises";
import type { Decoder } from "@berth/schema";
import { isMissing } from "./atomic-file.ts";

export interface SettingsFile<Document, Settings> {
  readonly file: string;
  readonly decode: Decoder<Document>;
  /** What a document means; throws with a sentence that names the file. */
  readonly settingsOf: (document: Document, file: string) => Settings;
  /** Where there is no file. */
  readonly absent: Settings;
}

const load = async <Document, Settings>(source: SettingsFile<Document, Settings>): Promise<Settings> => {
  const { file, decode, settingsOf, absent } = source;
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if (isMissing(error)) return absent;
    throw new Error(`${file} cannot be read`, { cause: error });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`${file} is not JSON: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  const decoded = decode(value);
  if (decoded.ok) return settingsOf(decoded.value, file);
  const first = decoded.error[0];
  throw new Error(`${file} ${first?.pointer ?? ""}: ${first?.message ?? "does not have its form"}`);
};

/** Each call costs one stat(2); a change costs a read. */
export const openSettingsFile = <Document, Settings>(
  source: SettingsFile<Document, Settings>,
): (() => Promise<Settings>) => {
  let cached: { readonly stamp: string; readonly settings: Settings } | undefined;
  return async () => {
    const stamp = await stat(source.file, { bigint: true }).then(
      ({ mtimeNs, size, ino }) => `${mtimeNs}:${size}:${ino}`,
      () => "absent",
    );
    if (cached?.stamp !== stamp) cached = { stamp, settings: await load(source) };
    return cached.settings;
  };
};
