/**
 * `berth image ACTION`: the images that hosts keep. Whatever changes something is an operation on each host, followed to
 * its end; without `--host` on every host that answers, since a job may be placed on any of them.
 */
import { Option, type Command } from "commander";
import {
  decoder,
  formatBytes,
  IMAGE_FORMATS,
  ImageDataTakenSchema,
  ImageDetailsSchema,
  ImageListSchema,
  routePath,
  Routes,
  type ImageOnHost,
} from "@berth/schema";
import type { Client } from "../client/client.ts";
import { cancelOrders, followOrders, placeOrder, refuseAll } from "../client/images.ts";
import { nameMade, unname } from "../client/image-names.ts";
import type { ConnectionOptions } from "../client/connection.ts";
import { openUpload, type Upload } from "../client/pieces.ts";
import { Exit, Failure } from "../failure.ts";
import type { Io } from "../io.ts";
import { documentText, printListing } from "../output/format.ts";
import { saySilent } from "../output/silent.ts";
import { createSent } from "../output/sent.ts";
import { registerBuild } from "./image-build.ts";
import { writeArchive } from "../output/archive-file.ts";
import { orderOf, withCopies, withHosts, type HostsOptions } from "./image-hosts.ts";
import { perform, tell } from "./image-perform.ts";
import {
  clientOf,
  withConnection,
  withExamples,
  withFormat,
  type FormatOptions,
  type Host,
  type Register,
} from "./verb.ts";

const decodeList = decoder(ImageListSchema);
const decodeDetails = decoder(ImageDetailsSchema);
const decodeTaken = decoder(ImageDataTakenSchema);

export const registerImage: Register = (program, host) => {
  const image = program
    .command("image")
    .description("list, pull, build, import, export, check and remove the images that hosts keep")
    .usage("ACTION [options]");
  withExamples(image, [
    ["berth image ls", "which images are where"],
    ["berth image import app.tar oci://local/app:1", "without a registry"],
  ]);
  registerLs(image, host);
  registerInspect(image, host);
  registerOrders(image, host);
  registerImport(image, host);
  registerBuild(image, host);
  registerExport(image, host);
};

/** The same bytes on several hosts are one line. */
export const mergeImages = (items: readonly { readonly host: string; readonly image: ImageOnHost }[]) => {
  const rows = new Map<string, { image: ImageOnHost; hosts: string[]; uses: number }>();
  for (const { host, image } of items) {
    const key = `${image.name} ${image.manifest}`;
    const row = rows.get(key) ?? { image, hosts: [], uses: 0 };
    row.hosts.push(host);
    row.uses += image.uses;
    rows.set(key, row);
  }
  return [...rows.values()].toSorted((a, b) => (a.image.name < b.image.name ? -1 : 1));
};

const registerLs = (image: Command, { io, finish }: Host): void => {
  const command = image
    .command("ls")
    .description("list the images of all hosts, or of one")
    .option("--host <name>", "only there")
    .action(async (options: ConnectionOptions & FormatOptions & { readonly host?: string }) => {
      const { value } = await clientOf(io, options).get(decodeList, Routes.images, { query: { host: options.host } });
      await printListing(io, options.output, {
        document: value,
        rows: mergeImages(value.items),
        columns: [
          { title: "IMAGE", value: (row) => row.image.name, shrinkTo: 24 },
          { title: "SIZE", value: (row) => formatBytes(row.image.sizeBytes), align: "right" },
          { title: "USED BY", value: (row) => String(row.uses), align: "right" },
          { title: "FROM", value: (row) => row.image.source },
          { title: "HOSTS", value: (row) => row.hosts.join(", "), shrinkTo: 12 },
        ],
        wide: [{ title: "MANIFEST", value: (row) => row.image.manifest }],
        name: (row) => row.image.name,
        empty: "No host keeps an image yet: they come with the first task that needs them, or by berth image pull",
      });
      await saySilent(io, value);
      finish(Exit.ok);
    });
  withExamples(withConnection(withFormat(command)), [
    ["berth image ls", "all of them, by name"],
    ["berth image ls --host cedar -o wide", "with their digests"],
  ]);
};

const registerInspect = (image: Command, { io, finish }: Host): void => {
  const command = image
    .command("inspect")
    .argument("<image>")
    .description("everything that is known of one image, as JSON")
    .option("--host <name>", "as it is there")
    .addOption(new Option("-o, --output <format>", "how to print").choices(["json", "yaml"]).default("json"))
    .action(
      async (
        name: string,
        options: ConnectionOptions & { readonly host?: string; readonly output: "json" | "yaml" },
      ) => {
        const query = { image: name, host: options.host };
        const { value } = await clientOf(io, options).get(decodeDetails, Routes.imageInspect, { query });
        await io.out.write(documentText(options.output, value));
        finish(Exit.ok);
      },
    );
  withExamples(withConnection(command), [
    ["berth image inspect oci://registry.lan/app:1", "layers, command, who uses it"],
    ["berth image inspect oci://local/app:1 --host cedar", "on one host"],
  ]);
};

const registerOrders = (image: Command, { io, finish }: Host): void => {
  const pull = image
    .command("pull")
    .argument("<image>")
    .description("bring an image from its registry to hosts, before anything needs it")
    .action(async (name: string, options: HostsOptions) =>
      finish(await perform(io, options, { kind: "pull", image: name })),
    );
  withExamples(withCopies(pull), [
    ["berth image pull oci://registry.lan/app:2", "on all hosts"],
    ["berth image pull oci://registry.lan/app:2 --host cedar", "on one"],
  ]);

  const push = image
    .command("push")
    .argument("<image>")
    .argument("[name]", "another name to push it as")
    .description("give an image that a host keeps to a registry, or as oci://local/… to the cluster")
    .action(async (name: string, to: string | undefined, options: HostsOptions) => {
      const client = clientOf(io, options);
      const host = await oneHost(client, name, options);
      finish(await perform(io, { ...options, host: [host] }, { kind: "push", image: name, to: to ?? null }));
    });
  withExamples(withHosts(push), [
    ["berth image push oci://registry.lan/app:2", "to the registry of its name"],
    ["berth image push oci://local/app:1 oci://registry.lan/app:1", "under another"],
    ["berth image push oci://registry.lan/app:2 oci://local/app:2", "for hosts that reach no registry"],
  ]);

  const remove = image
    .command("rm")
    .argument("<image>")
    .description("remove an image that nothing uses")
    .action(async (name: string, options: HostsOptions) => {
      const client = clientOf(io, options);
      const hosts =
        options.host ?? (await hostsWith(client, name).catch((error: unknown) => forget(client, name, error)));
      const status = await perform(io, { ...options, host: hosts }, { kind: "remove", image: name });
      if (status === Exit.ok && options.host === undefined) await unname(client, name);
      finish(status);
    });
  withExamples(withHosts(remove), [
    ["berth image rm oci://registry.lan/app:1", "on all hosts that have it"],
    ["berth image rm oci://local/app:1 --host cedar", "on one"],
  ]);

  const prune = image
    .command("prune")
    .description("remove what no image needs; with --all also images that nothing uses")
    .option("-a, --all", "images of registries, too, that no allocation uses; imported ones stay")
    .action(async (options: HostsOptions & { readonly all?: boolean }) =>
      finish(await perform(io, options, { kind: "prune", all: options.all === true })),
    );
  withExamples(withHosts(prune), [
    ["berth image prune", "half downloads and layers without an image"],
    ["berth image prune --all", "everything that can come again"],
  ]);

  const check = image
    .command("check")
    .description("read everything and compare it with its digest")
    .option("--repair", "remove what is damaged, and bring again what can be")
    .action(async (options: HostsOptions & { readonly repair?: boolean }) =>
      finish(await perform(io, options, { kind: "check", repair: options.repair === true })),
    );
  withExamples(withHosts(check), [
    ["berth image check", "on all hosts; exits with 1 when something is damaged"],
    ["berth image check --repair --host cedar", "and puts it right"],
  ]);
};

const hostsWith = async (client: Client, image: string): Promise<string[]> => {
  const { value } = await client.get(decodeDetails, Routes.imageInspect, { query: { image } });
  return value.items.map(({ host }) => host);
};

/** What no host has, its hosts may have taken with them: then the name is all that there is to remove. */
const forget = async (client: Client, image: string, error: unknown): Promise<never> => {
  if (error instanceof Failure && error.code === "image.not_found") await unname(client, image);
  throw error;
};

const oneHost = async (client: Client, image: string, options: HostsOptions): Promise<string> => {
  const [only, ...more] = options.host ?? (await hostsWith(client, image));
  if (only !== undefined && (more.length === 0 || options.host === undefined)) return only;
  throw new Failure("Only one host can do this", { exit: Exit.usage, next: ["give --host once"] });
};

const registerImport = (image: Command, { io, finish }: Host): void => {
  const command = image
    .command("import")
    .argument("<file>", "an OCI layout or docker save archive (tar, also .tar.gz); - for standard input")
    .argument("[name]", "what its image is called, when the archive does not say")
    .description("bring an image from a file to hosts")
    .action(async (path: string, name: string | undefined, options: HostsOptions) => {
      const client = clientOf(io, options);
      const file = await openUpload(io, path);
      try {
        const orders = await placeOrder(client, orderOf(options, { kind: "import", name: name ?? null }));
        refuseAll(orders);
        const hosts = orders.items.flatMap(({ host, operation }) => (operation === null ? [] : [host]));
        try {
          await upload(io, client, { id: orders.id, hosts, file, quiet: options.quiet === true });
        } catch (error) {
          await cancelOrders(client, orders.id, hosts);
          throw error;
        }
        const ended = await followOrders(io, client, orders, options.quiet === true);
        await nameMade(client, ended);
        finish(await tell(io, ended, false));
      } finally {
        file.close();
      }
    });
  withExamples(withCopies(command), [
    ["berth image import app.tar", "under the name that it was saved with"],
    ["berth image import app.tar --copies 2", "one upload to two hosts: all others take it from these"],
    ["berth image import app.tar oci://local/app:1", "under this one"],
  ]);
};

interface Sending {
  readonly id: string;
  readonly hosts: readonly string[];
  readonly file: Upload;
  readonly quiet: boolean;
}

/** Piece by piece, each taken by all hosts before the next one is sent. A host that refuses gets no more of it. */
const upload = async (io: Io, client: Client, { file, hosts, id, quiet }: Sending): Promise<void> => {
  const progress = createSent(io, { size: file.size, quiet });
  let willing = [...hosts];
  for await (const { data, last, offset } of file.pieces) {
    const query = { hosts: willing.join(","), offset, last: String(last) };
    const path = routePath(Routes.imageData, { operation: id });
    const { value } = await client.send(decodeTaken, path, data, {
      query,
      waitMs: 120_000,
      bridge: true,
      signal: io.stop,
    });
    willing = value.items.flatMap((item) => (item.offset === null ? [] : [item.host]));
    if (willing.length === 0) break;
    await progress.show(offset + data.length);
  }
  await progress.clear();
};

const registerExport = (image: Command, { io, finish }: Host): void => {
  const command = image
    .command("export")
    .argument("<image>")
    .argument("<file>", "where to write the archive; - for standard output")
    .description("write an image that a host keeps into a file")
    .addOption(new Option("--format <form>", "which kind of archive").choices([...IMAGE_FORMATS]).default("oci"))
    .action(async (name: string, file: string, options: HostsOptions & { readonly format: string }) => {
      const client = clientOf(io, options);
      const host = await oneHost(client, name, options);
      const query = { image: name, host, format: options.format };
      const body = await client.stream(Routes.imageExport, { query, signal: io.stop, waitMs: 600_000 });
      await writeArchive(io, body, file, name);
      finish(Exit.ok);
    });
  withExamples(withHosts(command), [
    ["berth image export oci://registry.lan/app:1 app.tar", "an OCI layout"],
    ["berth image export oci://registry.lan/app:1 - --format docker | docker load", "for others"],
  ]);
};
