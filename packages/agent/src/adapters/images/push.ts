/**
 * Gives an image to a registry (OCI distribution-spec 1.1, "Push"): blobs that it lacks, a few at a time, then the
 * manifest. A blob whose upload breaks is sent again; what the registry has is not sent twice.
 */
import { createReadStream } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import {
  formatImageReference,
  LOCAL_REGISTRY,
  parseImageReference,
  snapshotOf,
  type ImageReference,
} from "@berth/schema";
import type { Descriptor } from "../../core/images/manifest.ts";
import type { ImageWork } from "../../ports/images.ts";
import { isMachineImage } from "../../core/images/machine.ts";
import { manifestType, wholeImage, type Whole } from "./archive-out.ts";
import { valueOf } from "./contents.ts";
import { inGate, type Parts } from "./parts.ts";
import { eachAtOnce } from "./pull.ts";
import { RegistryFailure, RegistrySession, type Answer } from "./registry-session.ts";

const ATTEMPTS = 5;
const FIRST_PAUSE_MS = 500;

const expectStatus = async (answer: Answer, allowed: readonly number[], what: string): Promise<void> => {
  const said = await answer.body.text().catch(() => "");
  if (allowed.includes(answer.statusCode)) return;
  const retry = answer.statusCode >= 500 || answer.statusCode === 429;
  throw new RegistryFailure(`the registry answered ${answer.statusCode} for ${what}: ${said.slice(0, 200)}`, retry);
};

const pushBlob = async (
  parts: Parts,
  session: RegistrySession,
  { repository }: ImageReference,
  { digest, size }: Descriptor,
  { progress, signal }: ImageWork,
): Promise<void> => {
  const there = await session.ask("HEAD", repository, `blobs/${digest}`, {}, signal);
  await there.body.dump();
  if (there.statusCode !== 200) {
    const begun = await session.ask("POST", repository, "blobs/uploads/", {}, signal);
    await expectStatus(begun, [202], `an upload to ${repository}`);
    const { location } = begun.headers;
    if (typeof location !== "string") throw new RegistryFailure("the registry does not say where to upload to", false);
    const body = async function* (): AsyncGenerator<Uint8Array> {
      let sent = 0;
      for await (const bytes of createReadStream(parts.blobs.path(digest), { highWaterMark: 262_144 })) {
        sent += (bytes as Uint8Array).length;
        progress.layer(digest, "sending", sent, size);
        yield bytes as Uint8Array;
      }
    };
    const put = await session.upload(
      repository,
      location,
      digest,
      { "content-type": "application/octet-stream", "content-length": String(size) },
      body(),
      signal,
    );
    await expectStatus(put, [201, 204], `blob ${digest}`);
  }
  progress.layer(digest, "done", size, size);
};

const patiently = async (signal: AbortSignal, work: () => Promise<void>): Promise<void> => {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await work();
      return;
    } catch (error) {
      if (signal.aborted || !(error instanceof RegistryFailure) || !error.retry || attempt === ATTEMPTS) throw error;
      await sleep(FIRST_PAUSE_MS * 2 ** (attempt - 1), undefined, { signal });
    }
  }
};

/** What of it is not here: blobs, and layers unpacked. */
const lacking = async (
  { blobs, layers }: Parts,
  { contents, manifest, record }: Whole,
): Promise<string | undefined> => {
  const { config, layers: archives } = contents.manifest;
  for (const digest of [manifest, config.digest, ...archives.map((one) => one.digest)]) {
    if (!(await blobs.has(digest))) return digest;
  }
  for (const diffId of record.diffIds) if (!(await layers.has(diffId))) return diffId;
  return undefined;
};

/**
 * Gives it a name of the cluster: from then on it counts as imported here, with its archives, and every other host takes it
 * from this one without asking a registry.
 */
const pushToCluster = async (parts: Parts, whole: Whole, target: ImageReference) => {
  const { contents, manifest, record } = whole;
  const image = formatImageReference(target);
  if (target.digest !== undefined) throw new Error(`${image}: name it by a tag`);
  if (snapshotOf(image) !== undefined) throw new Error(`${image} would be a snapshot: berth snapshot create makes one`);
  // Whoever made an image is not the one who gives it a name here.
  if (isMachineImage(image, contents.config) && record.defaults.machine !== true) {
    throw new Error(`${image} calls itself a whole distribution: import the tar of its root file system instead`);
  }
  await inGate(parts, async () => {
    const lacks = await lacking(parts, whole);
    if (lacks !== undefined) {
      throw new Error(`${record.name}: ${lacks} is not here any more: pull or import the image again, then push it`);
    }
    await parts.records.write({
      ...record,
      name: image,
      source: "import",
      ...(record.source === "import" && record.base === undefined ? {} : { base: record.base ?? record.name }),
      broughtAtMs: Date.now(),
    });
  });
  return { image, manifest };
};

/** Resolves to the name and digest under which the registry, or the cluster, has it now. */
export const pushImage = async (
  parts: Parts,
  name: string,
  to: string | null,
  options: ImageWork,
): Promise<{ readonly image: string; readonly manifest: string }> => {
  const whole = await wholeImage(parts, name, options);
  try {
    const target = to === null ? whole.reference : valueOf(parseImageReference(to), to);
    if (target.registry === LOCAL_REGISTRY) {
      if (to !== null) return await pushToCluster(parts, whole, target);
      throw new Error(`${formatImageReference(target)} names no registry: say where to push it with another name`);
    }
    const { parallelLayers } = await parts.settings();
    const session = new RegistrySession(target.registry, await parts.registries.accessTo(target.registry), "push");
    try {
      const { config, layers } = whole.contents.manifest;
      const blobs = [...new Map([config, ...layers].map((one) => [one.digest, one])).values()];
      for (const { digest, size } of blobs) options.progress.layer(digest, "waiting", 0, size);
      await eachAtOnce(blobs, parallelLayers, options.signal, (descriptor, signal) =>
        patiently(signal, () => pushBlob(parts, session, target, descriptor, { ...options, signal })),
      );
      await patiently(options.signal, async () => {
        const put = await session.ask(
          "PUT",
          target.repository,
          `manifests/${target.tag ?? whole.manifest}`,
          { "content-type": manifestType(whole.contents.bytes) },
          options.signal,
          whole.contents.bytes,
        );
        await expectStatus(put, [201], `the manifest of ${formatImageReference(target)}`);
      });
    } finally {
      await session.close();
    }
    return { image: formatImageReference(target), manifest: whole.manifest };
  } finally {
    await whole.release();
  }
};
