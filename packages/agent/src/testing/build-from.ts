/** Builds Debian from a mirror until it is killed: a process of its own for tests that kill. STORE MIRROR ID-BASE */
import { join } from "node:path";
import { openImageSettings } from "../adapters/images/image-settings.ts";
import { openRegistrySettings } from "../adapters/images/registry-settings.ts";
import { openOciStore } from "../adapters/images/store.ts";
import { NO_PROGRESS } from "../core/images/progress.ts";

const [store = "", mirror = "", idBase = ""] = process.argv.slice(2);
const opened = await openOciStore(
  store,
  openRegistrySettings(join(store, "registries.json")),
  openImageSettings(join(store, "images.json")),
  undefined,
  Number(idBase),
);
await opened.build("distro://debian/12", mirror, { progress: NO_PROGRESS, signal: new AbortController().signal });
