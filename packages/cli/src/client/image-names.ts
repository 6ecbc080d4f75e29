/**
 * Names of the cluster, given to what an order has made: each host says which manifest it has under the name, and the cluster
 * is told, once all of them say the same. From then on hosts start nothing else under it.
 */
import { clusterNameOf, decoder, ImageDetailsSchema, ImageNamedSchema, Routes } from "@berth/schema";
import { Exit, Failure } from "../failure.ts";
import type { Client } from "./client.ts";
import type { Ended } from "./images.ts";

const decodeDetails = decoder(ImageDetailsSchema);
const decodeNamed = decoder(ImageNamedSchema);
/** What makes something that no registry has. */
const MAKING = new Set(["import", "build", "commit", "snapshot"]);

const isClusterName = (image: string): boolean => clusterNameOf(image) !== undefined;

/** Names with what one host has under them. */
const madeBy = async (client: Client, { host, operation }: Ended): Promise<(readonly [string, string])[]> => {
  if (operation?.state !== "succeeded" || operation.result === null) return [];
  const { kind, result } = operation;
  if (result.kind === "pushed") return isClusterName(result.image) ? [[result.image, result.manifest]] : [];
  if (result.kind !== "brought" || !MAKING.has(kind)) return [];
  const made: (readonly [string, string])[] = [];
  for (const image of result.images.filter(isClusterName)) {
    const { value } = await client.get(decodeDetails, Routes.imageInspect, { query: { image, host } });
    for (const item of value.items) made.push([image, item.image.manifest]);
  }
  return made;
};

export const nameMade = async (client: Client, ended: readonly Ended[]): Promise<void> => {
  const names = new Map<string, Map<string, string[]>>();
  for (const one of ended) {
    for (const [image, manifest] of await madeBy(client, one)) {
      const said = names.get(image) ?? new Map<string, string[]>();
      names.set(image, said.set(manifest, [...(said.get(manifest) ?? []), one.host]));
    }
  }
  for (const [image, said] of names) {
    const [only, ...others] = said;
    if (only === undefined) continue;
    if (others.length > 0) {
      const each = [...said].map(([manifest, hosts]) => `${hosts.join(", ")} as ${manifest}`).join("; ");
      throw new Failure(`Hosts do not have the same under ${image}: ${each}`, {
        exit: Exit.failed,
        next: [`the name stands for what it did before; try again with --host`],
      });
    }
    await client.post(decodeNamed, Routes.imageNames, { image, manifest: only[0] });
  }
};

/** It was removed everywhere. */
export const unname = async (client: Client, image: string): Promise<void> => {
  if (isClusterName(image)) await client.post(decodeNamed, Routes.imageNames, { image, manifest: null });
};
