/** The complaints about one document: all of them at once, each place once. */
import type { FieldError } from "./problem.ts";
import type { Result } from "./result.ts";

export class DocumentErrors {
  readonly list: FieldError[] = [];
  /** The first complaint about a place stands: later ones mostly follow from it. */
  add(pointer: string, message: string): void {
    if (!this.list.some((error) => error.pointer === pointer)) this.list.push({ pointer, message });
  }
  take<T>(pointer: string, result: Result<T, string>, otherwise: T): T {
    if (result.ok) return result.value;
    this.add(pointer, result.error);
    return otherwise;
  }
}
