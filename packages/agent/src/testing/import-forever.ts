/** Imports an archive again and again until it is killed: a process of its own for tests that kill. STORE ARCHIVE SETTINGS */
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { openImageSettings } from "../adapters/images/image-settings.ts";
import { openRegistrySettings } from "../adapters/images/registry-settings.ts";
import { openOciStore } from "../adapters/images/store.ts";
import { NO_PROGRESS } from "../core/images/progress.ts";

const [store = "", archive = "", settings = ""] = process.argv.slice(2);
const opened = await openOciStore(
  store,
  openRegistrySettings(join(settings, "registries.json")),
  openImageSettings(join(settings, "images.json")),
);
const work = { progress: NO_PROGRESS, signal: new AbortController().signal };
process.stdout.write("ready\n");
for (let round = 0; ; round += 1) {
  const name = `oci://local/round:${round % 2}`;
  await opened.take(createReadStream(archive), { ...work, name });
  await opened.remove(name);
}
