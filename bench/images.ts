/**
 * `pnpm bench:images [--help]`: how fast an image gets from a registry onto a host and from there to a container, and what
 * it takes, beside other tools in the same run. Everything happens here: the image is made from this machine's /usr, the
 * registry is Debian's. A table on stdout, or with --json one object per figure. Needs root.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { openImageSettings } from "../packages/agent/src/adapters/images/image-settings.ts";
import { openRegistrySettings } from "../packages/agent/src/adapters/images/registry-settings.ts";
import { openOciStore } from "../packages/agent/src/adapters/images/store.ts";
import { startRegistry } from "../packages/agent/src/testing/registry.ts";
import { diskFigures } from "./images/disk.ts";
import { makeImage } from "./images/made-image.ts";
import { mountFigures } from "./images/mount.ts";
import { parseOptions, usage, type Options } from "./images/options.ts";
import { installPullPeers } from "./images/peers.ts";
import { memoryFigures, pullFigures, pullOwn } from "./images/pull.ts";
import { figure, showFigure, type Figure } from "./runtime/figures.ts";
import { openPlace } from "./runtime/place.ts";

const main = async (options: Options): Promise<void> => {
  const show = (figures: readonly Figure[]): void => {
    for (const one of figures) console.log(options.json ? JSON.stringify(one) : showFigure(one));
  };
  const { modes } = options;
  if (options.install) installPullPeers();
  const place = await openPlace();
  try {
    const storage = join(place.directory, "registry");
    mkdirSync(storage);
    const registry = await startRegistry(storage);
    try {
      const image = await makeImage(place.directory, registry.host, options.megabytes);
      const note = `${image.layers} layers, ${image.files} files, ${(image.packedBytes / 2 ** 20).toFixed(0)} MiB packed`;
      show([figure("the image: files of /usr", image.plainBytes / 2 ** 20, "MiB", { note })]);
      if (modes.has("pull") || modes.has("memory")) {
        const rounds = modes.has("pull") ? options.rounds : 1;
        const pulled = await pullFigures(place.directory, image, { rounds, peers: options.peers && modes.has("pull") });
        if (modes.has("pull")) show(pulled.figures);
        if (modes.has("memory")) show(memoryFigures(pulled.pulls));
      }
      if (modes.has("mount") || modes.has("disk")) {
        const storeDirectory = join(place.directory, "store");
        await pullOwn(storeDirectory, image.name);
        const store = await openOciStore(
          storeDirectory,
          openRegistrySettings(join(storeDirectory, "registries.json")),
          openImageSettings(join(storeDirectory, "images.json")),
        );
        const name = `oci://${image.name}`;
        if (modes.has("mount")) show(await mountFigures(place.directory, store, name, options.rounds * 100));
        if (modes.has("disk")) {
          const about = { image: name, storeDirectory, plainBytes: image.plainBytes };
          show(await diskFigures(place, store, about, options.containers));
        }
      }
    } finally {
      await registry.close();
    }
  } finally {
    place.close();
  }
};

if (process.argv.includes("--help")) console.log(usage);
else await main(parseOptions(process.argv.slice(2)));
