/** What the rest of the agent sees of an image: directories to mount, and what the image says about running it. */

export interface ImageDefaults {
  /** Entrypoint and arguments; empty when the image names none. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly workdir: string;
  /** As in the image: a name or number, with or without a group; empty for root. */
  readonly user: string;
  /** What asks its program to end; null when the image does not say. */
  readonly stopSignal: number | null;
  /** Its program is the init of a whole distribution. */
  readonly machine?: boolean;
}

/** Of an image that says nothing. */
export const NO_DEFAULTS: ImageDefaults = { command: [], env: {}, workdir: "/", user: "", stopSignal: null };

export interface PreparedImage {
  /** Directories on this host, topmost first. */
  readonly layers: readonly string[];
  /** Their files have the container's own ids already; else its mounts map them. */
  readonly shifted?: boolean;
  readonly defaults: ImageDefaults;
}
