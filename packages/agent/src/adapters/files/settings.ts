/** What somebody else has to know of an agent that is not running, to find its containers. */
import { mkdir } from "node:fs/promises";
import { Type, type Static, decoder, HostIdSchema } from "@berth/schema";
import { readSealed, writeSealed } from "./atomic-file.ts";
import type { Layout } from "./layout.ts";

const SettingsSchema = Type.Object({ version: Type.Literal(1), host: HostIdSchema, cgroupParent: Type.String() });
export type RememberedSettings = Omit<Static<typeof SettingsSchema>, "version">;

const decodeSettings = decoder(SettingsSchema);

export const rememberSettings = async (layout: Layout, settings: RememberedSettings): Promise<void> => {
  await mkdir(layout.root, { recursive: true });
  await writeSealed(layout.settings, { version: 1, ...settings }, { durable: true });
};

/** Undefined when no agent has ever run here. */
export const recallSettings = async (layout: Layout): Promise<RememberedSettings | undefined> => {
  const found = await readSealed(layout.settings);
  if (found.kind === "absent") return undefined;
  const decoded = found.kind === "value" ? decodeSettings(found.value) : undefined;
  if (decoded?.ok !== true)
    throw new Error(`${layout.settings} is damaged; start the agent once more, it writes it anew`);
  return decoded.value;
};
