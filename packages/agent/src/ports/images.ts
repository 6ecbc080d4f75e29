/** What the agent needs of images. */
import type { Result } from "@berth/schema";
import type { PreparedImage } from "../core/images/prepared.ts";

export interface Images {
  /** Brings what is not here yet. A failure is a sentence for the user; never rejects. */
  readonly prepare: (image: string, signal: AbortSignal) => Promise<Result<PreparedImage, string>>;
}
