/**
 * What a plan says of its image: which of the hosts that would be chosen keep it, so that their tasks start at once, and
 * which bring it first, and how much that is. It asks the agents; a plan is told without it when they cannot answer.
 */
import {
  decoder,
  formatBytes,
  ImageDetailsSchema,
  isDistroReference,
  isImageReference,
  Routes,
  type ImageDetails,
  type Outcome,
} from "@berth/schema";
import type { Client } from "../client/client.ts";
import { Failure } from "../failure.ts";

const decode = decoder(ImageDetailsSchema);
const MAX_NAMED = 5;

const named = (hosts: readonly string[]): string =>
  hosts.length <= MAX_NAMED
    ? hosts.join(", ")
    : `${hosts.slice(0, MAX_NAMED).join(", ")} and ${hosts.length - MAX_NAMED} more`;

/** `chosen`: hosts of the plan, each once. `found`: the image where it is. */
export const imageSentence = (image: string, chosen: readonly string[], found: ImageDetails["items"]): string => {
  const having = new Set<string>(found.map(({ host }) => host));
  const ready = chosen.filter((host) => having.has(host));
  const lacking = chosen.filter((host) => !having.has(host));
  if (lacking.length === 0) return `image: on ${named(ready)} already`;
  const [known] = found;
  if (known === undefined && isDistroReference(image)) {
    return `image: no host has it, and tasks fail until it is built: berth image build ${image}`;
  }
  const bytes = known?.image.layers.reduce((sum, { archiveBytes }) => sum + archiveBytes, 0);
  const much = bytes === undefined ? "" : `, up to ${formatBytes(bytes)}`;
  const rest = ready.length === 0 ? "" : `on ${named(ready)} already; `;
  return `image: ${rest}${named(lacking)} ${lacking.length === 1 ? "brings" : "bring"} it first${much}`;
};

/** Undefined when there is nothing to say: the plan says it, nothing is placed, the image is made on each host, or nobody answers. */
export const imageOfPlan = async (
  client: Client,
  document: unknown,
  outcomes: readonly Outcome[],
): Promise<string | undefined> => {
  const image = typeof document === "object" && document !== null && "image" in document ? document.image : undefined;
  // The scheduler knows it, and says it of each task.
  if (outcomes.some((one) => one.kind === "placed" && one.image !== undefined)) return undefined;
  const chosen = [...new Set(outcomes.flatMap((one) => (one.kind === "placed" ? [one.hostId] : [])))].toSorted();
  if (typeof image !== "string" || !isImageReference(image) || chosen.length === 0) return undefined;
  try {
    const { value } = await client.get(decode, Routes.imageInspect, { query: { image } });
    return imageSentence(image, chosen, value.items);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return error.code === "image.not_found" ? imageSentence(image, chosen, []) : undefined;
  }
};
