/**
 * What names of the cluster (`oci://local/…`) stand for. No registry can say it, and no host is believed: whoever made an
 * image under such a name, by an order, says which manifest it is, and that is in the log. Hosts are told with each task.
 */
import {
  clusterNameOf,
  err,
  isTerminal,
  MAX_IMAGE_NAMES,
  ok,
  problem,
  type LogRecord,
  type NameImage,
  type Problem,
  type Result,
} from "@berth/schema";
import type { Folding } from "./fold-tasks.ts";
import type { ClusterState } from "./state.ts";

/** The manifest that an image of this name has; undefined where nobody has said so. */
export const manifestOf = ({ imageNames }: ClusterState, image: string): string | undefined => {
  if (imageNames.size === 0) return undefined;
  const known = imageNames.get(image);
  if (known !== undefined) return known;
  const name = clusterNameOf(image);
  return name === undefined ? undefined : imageNames.get(name);
};

export const decideImageName = (
  state: ClusterState,
  { image, manifest }: NameImage,
  by: string,
): Result<LogRecord[], Problem> => {
  const name = clusterNameOf(image);
  if (name === undefined) {
    const detail = `${image} is no name of the cluster: those begin with oci://local/ and have no digest`;
    return err(problem("request.invalid", detail));
  }
  const known = state.imageNames.get(name);
  // Also what a follower says twice, since the first answer was lost.
  if ((known ?? null) === manifest) return ok([]);
  if (manifest === null) return ok([{ kind: "image_unnamed", image: name, by }]);
  if (known === undefined && state.imageNames.size >= MAX_IMAGE_NAMES) {
    const detail = `the cluster has ${state.imageNames.size} names of images; remove some first (berth image rm)`;
    return err(problem("request.too_many", detail));
  }
  return ok([{ kind: "image_named", image: name, manifest, by }]);
};

type RecordOf<K extends LogRecord["kind"]> = Extract<LogRecord, { kind: K }>;

export const foldImageName = (
  { state, changes, sequence }: Folding,
  record: RecordOf<"image_named" | "image_unnamed">,
): boolean => {
  if (record.kind === "image_unnamed") state.imageNames.delete(record.image);
  else state.imageNames.set(record.image, record.manifest);
  // Thousands run under a few names: to read a name costs more than all else here.
  const names = new Map<string, string | undefined>();
  const nameOf = (image: string): string | undefined => {
    if (!names.has(image)) names.set(image, clusterNameOf(image));
    return names.get(image);
  };
  // A host that is about to start one of these tasks is told of it as of any other change.
  for (const { spec, state: reached, hostId } of state.allocations.values()) {
    if (isTerminal(reached) || nameOf(spec.image) !== record.image) continue;
    const host = state.hosts.get(hostId);
    if (host === undefined) continue;
    host.desiredRev = sequence;
    changes.documents.push(host.id);
  }
  return true;
};
