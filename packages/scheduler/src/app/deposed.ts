/** Thrown inside the engine's loop only: this instance does not lead any more. */
export class Deposed extends Error {
  override readonly name = "Deposed";
  /** The append that showed it was certainly not stored. */
  readonly nothingStored: boolean;
  constructor(message: string, nothingStored: boolean) {
    super(message);
    this.nothingStored = nothingStored;
  }
}
