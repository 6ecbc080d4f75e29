/**
 * The name of an image in a registry: `oci://HOST[:PORT]/REPOSITORY[:TAG][@sha256:DIGEST]`. The host is never guessed, so
 * that a name means the same thing on every machine. Grammar: OCI distribution-spec 1.1, and the reference format of the
 * distribution project. `distro://…` is another way to write the name of an image that was built here.
 */
import { distroImage, isDistroReference, LOCAL_REGISTRY, parseDistroReference } from "./distro-reference.ts";
import { err, ok, type Result } from "./result.ts";

export interface ImageReference {
  /** Host and port as written, lower case. */
  readonly registry: string;
  readonly repository: string;
  /** What to ask the registry for: the digest when there is one, else the tag. */
  readonly target: string;
  readonly tag: string | undefined;
  readonly digest: string | undefined;
}

/** Needs no registry: made on each host from its own busybox. */
export const BUILTIN_IMAGE = "builtin://busybox";
const SCHEME = "oci://";
const MAX_REPOSITORY = 255;
const host = /^(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::[0-9]{1,5})?$/;
const component = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const tagForm = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
const digestForm = /^sha256:[0-9a-f]{64}$/;

const isDigest = (text: string): boolean => digestForm.test(text);
export const isImageReference = (text: string): boolean => text.startsWith(SCHEME) || isDistroReference(text);

const portOf = (registry: string): number => Number(/:(\d+)$/.exec(registry)?.[1] ?? 0);

/** A sentence that says which part is wrong when it is no reference. */
export const parseImageReference = (text: string): Result<ImageReference, string> => {
  if (isDistroReference(text)) {
    const distro = parseDistroReference(text);
    if (!distro.ok) return distro;
    const { repository, tag } = distroImage(distro.value);
    return ok({ registry: LOCAL_REGISTRY, repository, target: tag, tag, digest: undefined });
  }
  if (!isImageReference(text)) return err(`"${text}" does not begin with ${SCHEME}`);
  const [name, digest, ...more] = text.slice(SCHEME.length).split("@");
  if (name === undefined || more.length > 0) return err(`"${text}" has more than one @`);
  if (digest !== undefined && !isDigest(digest))
    return err(`"${digest}" is no digest: sha256: and 64 hexadecimal digits`);
  const slash = name.indexOf("/");
  if (slash < 0) return err(`"${text}" names no repository: write ${SCHEME}REGISTRY/REPOSITORY`);
  const registry = name.slice(0, slash).toLowerCase();
  if (!host.test(registry) || portOf(registry) > 65_535)
    return err(`"${name.slice(0, slash)}" is no host of a registry`);
  const rest = name.slice(slash + 1);
  const colon = rest.indexOf(":");
  const repository = colon < 0 ? rest : rest.slice(0, colon);
  const tag = colon < 0 ? undefined : rest.slice(colon + 1);
  if (repository.length > MAX_REPOSITORY || !repository.split("/").every((part) => component.test(part))) {
    return err(
      `"${repository}" is no repository: lower case letters, digits and . _ - between them, parts divided by /`,
    );
  }
  if (tag !== undefined && !tagForm.test(tag)) return err(`"${tag}" is no tag: at most 128 of A-Z a-z 0-9 . _ -`);
  const target = digest ?? tag ?? "latest";
  return ok({ registry, repository, target, tag: tag ?? (digest === undefined ? "latest" : undefined), digest });
};

/** The name in full, with its default tag. */
export const formatImageReference = ({ registry, repository, tag, digest }: ImageReference): string =>
  `${SCHEME}${registry}/${repository}${tag === undefined ? "" : `:${tag}`}${digest === undefined ? "" : `@${digest}`}`;

/** In full, if it is a name of the cluster (of no registry) that does not say itself which manifest it stands for. */
export const clusterNameOf = (image: string): string | undefined => {
  if (!isImageReference(image)) return undefined;
  const parsed = parseImageReference(image);
  if (!parsed.ok || parsed.value.registry !== LOCAL_REGISTRY || parsed.value.digest !== undefined) return undefined;
  return formatImageReference(parsed.value);
};

/** Whether a registry is on this very machine, where nobody in between can read or change what it sends. */
export const isLoopback = (registry: string): boolean =>
  /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/.test(registry);
