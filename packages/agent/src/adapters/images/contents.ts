/** What an image consists of, read from its manifest and configuration among the blobs. */
import {
  decodeConfig,
  decodeManifest,
  type Descriptor,
  type ImageConfig,
  type ImageManifest,
} from "../../core/images/manifest.ts";
import { isMachineImage } from "../../core/images/machine.ts";
import { signalOf, type Result } from "@berth/schema";
import type { ImageRecord } from "./records.ts";
import { RegistryFailure } from "./registry-session.ts";
import type { Parts } from "./parts.ts";

export interface Contents {
  readonly bytes: Uint8Array;
  readonly manifest: ImageManifest;
  readonly config: ImageConfig;
  /** Bottom first. */
  readonly layers: readonly { readonly descriptor: Descriptor; readonly diffId: string }[];
}

export const valueOf = <T>(result: Result<T, string>, about: string): T => {
  if (result.ok) return result.value;
  throw new RegistryFailure(`${about}: ${result.error}`, false);
};

/** Rejects with a sentence when a part of it is not here or not what it should be. */
export const readContents = async ({ blobs }: Parts, digest: string, about: string): Promise<Contents> => {
  const bytes = await blobs.read(digest);
  if (bytes === undefined) throw new Error(`${about}: its manifest ${digest} is not here`);
  const manifest = valueOf(decodeManifest(bytes), about);
  const configBytes = await blobs.read(manifest.config.digest);
  if (configBytes === undefined) throw new Error(`${about}: its configuration ${manifest.config.digest} is not here`);
  const config = valueOf(decodeConfig(configBytes), about);
  const layers = manifest.layers.map((descriptor, at) => ({ descriptor, diffId: config.rootfs.diff_ids[at] ?? "" }));
  return { bytes, manifest, config, layers };
};

/** `SIGQUIT`, `QUIT` or `3`; anything else is no signal, and the usual one is sent. */
export const signalNumber = (text: string): number | null => {
  const number = /^\d{1,2}$/.test(text) ? Number(text) : signalOf(text.toUpperCase());
  return number !== undefined && number >= 1 && number <= 64 ? number : null;
};

export const defaultsOf = (image: ImageConfig, name: string): ImageRecord["defaults"] => {
  const { config } = image;
  if (config === undefined || config === null)
    return { command: [], env: {}, workdir: "/", user: "", stopSignal: null };
  const env: { [name: string]: string } = {};
  for (const pair of config.Env ?? []) {
    const at = pair.indexOf("=");
    if (at > 0) env[pair.slice(0, at)] = pair.slice(at + 1);
  }
  return {
    command: [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])],
    env,
    workdir: config.WorkingDir === undefined || config.WorkingDir === "" ? "/" : config.WorkingDir,
    user: config.User ?? "",
    stopSignal: signalNumber(config.StopSignal ?? ""),
    ...(isMachineImage(name, image) ? { machine: true } : {}),
  };
};
