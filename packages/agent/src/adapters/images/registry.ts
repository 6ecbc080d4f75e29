/**
 * Reads images from registries (OCI distribution-spec 1.1): a registry's mirrors first, then itself. What a mirror sends
 * is checked like everything else, by digest; a tag is only asked of the registry or what its operator named as mirror.
 */
import { createHash } from "node:crypto";
import { MAX_DOCUMENT_BYTES, MEDIA_TYPES, type Descriptor } from "../../core/images/manifest.ts";
import type { ImageReference } from "@berth/schema";
import { readSmall, RegistryFailure, RegistrySession, type Answer } from "./registry-session.ts";
import type { RegistrySettings } from "./registry-settings.ts";

export interface Document {
  readonly bytes: Uint8Array;
  readonly mediaType: string | undefined;
  readonly digest: string;
}

export interface Registry {
  /** A manifest or index by tag or digest. */
  readonly document: (reference: ImageReference, target: string, signal: AbortSignal) => Promise<Document>;
  /** A blob from byte `from` on; `restarted` when the server began at 0 nevertheless. */
  readonly blob: (
    reference: ImageReference,
    descriptor: Descriptor,
    from: number,
    signal: AbortSignal,
  ) => Promise<{ readonly body: AsyncIterable<Uint8Array>; readonly restarted: boolean }>;
  readonly close: () => Promise<void>;
}

const ACCEPT = [...MEDIA_TYPES.index, ...MEDIA_TYPES.manifest].join(", ");

export const digestOf = (bytes: Uint8Array): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

export const openRegistry = (settings: RegistrySettings): Registry => {
  /** For one pull each: settings may change between two. */
  const sessions = new Map<string, Promise<RegistrySession>>();
  const session = (host: string): Promise<RegistrySession> => {
    const known = sessions.get(host);
    if (known !== undefined) return known;
    const made = settings.accessTo(host).then((access) => new RegistrySession(host, access));
    made.catch(() => sessions.delete(host));
    sessions.set(host, made);
    return made;
  };

  const fromAny = async <T>(
    reference: ImageReference,
    signal: AbortSignal,
    work: (session: RegistrySession, host: string) => Promise<T>,
  ): Promise<T> => {
    const { mirrors } = await session(reference.registry);
    const failures: RegistryFailure[] = [];
    for (const host of [...mirrors, reference.registry]) {
      try {
        return await work(await session(host), host);
      } catch (error) {
        if (signal.aborted || !(error instanceof RegistryFailure)) throw error;
        failures.push(error);
      }
    }
    const [only] = failures;
    if (failures.length === 1 && only !== undefined) throw only;
    const retry = failures.some((failure) => failure.retry);
    throw new RegistryFailure(failures.map((failure) => failure.message).join("; "), retry);
  };

  const expect = async (answer: Answer, allowed: readonly number[], what: string, host: string): Promise<void> => {
    if (allowed.includes(answer.statusCode)) return;
    await answer.body.dump().catch(() => undefined);
    if (answer.statusCode === 404) throw new RegistryFailure(`${host} has no ${what}`, false);
    const retry = answer.statusCode >= 500 || answer.statusCode === 429;
    throw new RegistryFailure(`${host} answered ${answer.statusCode} for ${what}`, retry);
  };

  return {
    document: (reference, target, signal) =>
      fromAny(reference, signal, async (from, host) => {
        const what = `${reference.repository}${target.startsWith("sha256:") ? "@" : ":"}${target}`;
        const answer = await from.get(reference.repository, `manifests/${target}`, { accept: ACCEPT }, signal);
        await expect(answer, [200], what, host);
        const bytes = await readSmall(answer, MAX_DOCUMENT_BYTES, `the manifest ${what}`);
        const digest = digestOf(bytes);
        if (target.startsWith("sha256:") && digest !== target) {
          throw new RegistryFailure(`${host} sent something else for ${what}: its digest is ${digest}`, false);
        }
        const type = answer.headers["content-type"];
        const mediaType = (Array.isArray(type) ? type[0] : type)?.split(";")[0]?.trim();
        return { bytes, mediaType, digest };
      }),
    blob: (reference, descriptor, at, signal) =>
      fromAny(reference, signal, async (from, host) => {
        const headers: Record<string, string> = at > 0 ? { range: `bytes=${at}-` } : {};
        const answer = await from.get(reference.repository, `blobs/${descriptor.digest}`, headers, signal);
        await expect(answer, [200, 206], `blob ${descriptor.digest} of ${reference.repository}`, host);
        return { body: answer.body as AsyncIterable<Uint8Array>, restarted: at > 0 && answer.statusCode === 200 };
      }),
    close: async () => {
      await Promise.all([...sessions.values()].map((made) => made.then((one) => one.close()).catch(() => undefined)));
      sessions.clear();
    },
  };
};
