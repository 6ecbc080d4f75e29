/**
 * The volumes of a job document, as a spec keeps them. Volumes in memory are mounts of the container and nothing else, so
 * they become some of its settings; the others stay volumes.
 */
import type { ContainerSettings } from "./container-options.ts";
import type { DocumentErrors } from "./job-errors.ts";
import { MAX_TASKS, type JobDocument, type JobSpec } from "./job.ts";
import { isNormal } from "./paths.ts";
import { parseBytes } from "./units.ts";
import { isVolumeName, taskOfBoth, volumeNameOf } from "./volume.ts";

type Volume = NonNullable<JobDocument["volumes"]>[number];
type Kind = "volume" | "source" | "tmpfs";

/** Smaller than a page nothing can be kept. */
const MIN_BYTES = 4096;
const MAX_BYTES = 2 ** 50;
/** What is said only of some kinds. */
const ONLY: readonly (readonly ["readOnly" | "shared" | "size", readonly Kind[]])[] = [
  ["readOnly", ["volume", "source"]],
  ["shared", ["volume"]],
  ["size", ["volume", "tmpfs"]],
];

const kindOf = (volume: Volume, at: string, errors: DocumentErrors): Kind | undefined => {
  const kinds = (["volume", "source", "tmpfs"] as const).filter((kind) => volume[kind] !== undefined);
  const [kind] = kinds;
  if (kind === undefined || kinds.length > 1) {
    errors.add(at, "must have one of volume (data of the project), source (a path of the host) and tmpfs (in memory)");
    return undefined;
  }
  if (kind === "tmpfs" && volume.tmpfs !== true) errors.add(`${at}/tmpfs`, "is either true or absent");
  for (const [field, kindsOfIt] of ONLY) {
    if (volume[field] !== undefined && !kindsOfIt.includes(kind)) {
      errors.add(`${at}/${field}`, `is said of ${kindsOfIt.join(" and ")} only`);
    }
  }
  return kind;
};

const sizeOf = (volume: Volume, at: string, errors: DocumentErrors): number => {
  if (volume.size === undefined) return 0;
  const bytes = errors.take(`${at}/size`, parseBytes(volume.size), MIN_BYTES);
  if (bytes < MIN_BYTES || bytes > MAX_BYTES) errors.add(`${at}/size`, "must be between 4Ki and 1024Ti");
  return bytes;
};

/** `count`: how many tasks the job has. */
const checkNamed = (
  volume: Volume & { readonly volume: string },
  count: number,
  at: string,
  errors: DocumentErrors,
) => {
  const longest = volumeNameOf(volume.volume, Math.min(count, MAX_TASKS) - 1);
  if (!isVolumeName(longest)) {
    errors.add(
      `${at}/volume`,
      `"${longest}" cannot name a volume: 1 to 63 lower-case letters, digits and dashes; \${INDEX} is the index of the task`,
    );
  }
  const isOneForAll = longest === volume.volume;
  if (isOneForAll && count > 1 && volume.readOnly !== true && volume.shared !== true) {
    errors.add(
      at,
      `${count} tasks would write one volume: name it ${volume.volume}-\${INDEX} for one each, or say readOnly: true or shared: true`,
    );
  }
};

/** `target` judges where something is mounted, together with outputs and mounts of the container. */
export const volumeMountsOf = (
  document: JobDocument,
  errors: DocumentErrors,
  target: (pointer: string, path: string) => void,
): { readonly volumes: JobSpec["volumes"]; readonly inMemory: NonNullable<ContainerSettings["mounts"]> } => {
  const count = document.replicas ?? document.array?.size ?? 1;
  const volumes: JobSpec["volumes"] = [];
  const inMemory: NonNullable<ContainerSettings["mounts"]> = [];
  const names: { readonly name: string; readonly at: string }[] = [];
  for (const [position, volume] of (document.volumes ?? []).entries()) {
    const at = `/volumes/${position}`;
    target(`${at}/target`, volume.target);
    const kind = kindOf(volume, at, errors);
    const sizeBytes = sizeOf(volume, at, errors);
    const readOnly = volume.readOnly ?? false;
    if (kind === "tmpfs") {
      inMemory.push({ kind, target: volume.target, ...(volume.size === undefined ? {} : { sizeBytes }) });
    } else if (kind === "source") {
      const source = volume.source ?? "";
      if (!isNormal(source)) errors.add(`${at}/source`, 'must be an absolute path without ".", ".." or "//"');
      volumes.push({ source, target: volume.target, readOnly });
    } else if (kind === "volume") {
      const name = volume.volume ?? "";
      checkNamed({ ...volume, volume: name }, count, at, errors);
      for (const former of names) {
        const index = taskOfBoth(former.name, name, count);
        if (index === undefined) continue;
        const twice =
          former.name === name
            ? `"${name}" is mounted twice`
            : `"${name}" and "${former.name}" are one volume for task ${index}`;
        errors.add(`${at}/volume`, `${twice}, see ${former.at}`);
        break;
      }
      names.push({ name, at });
      volumes.push({ volume: name, target: volume.target, readOnly, shared: volume.shared ?? false, sizeBytes });
    }
  }
  return { volumes, inMemory };
};
