/** Random values of the wire types for property tests, derived from the schemas so that new fields are covered at once. */
import fc from "fast-check";
import type { Static, TSchema } from "#typebox";

interface Node {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Node[];
  readonly items?: Node;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly required?: readonly string[];
  readonly patternProperties?: Readonly<Record<string, Node>>;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly uniqueItems?: boolean;
  readonly minLength?: number;
  readonly maxLength?: number;
}

const build = (node: Node): fc.Arbitrary<unknown> => {
  if (node.const !== undefined) return fc.constant(node.const);
  if (node.enum !== undefined) return fc.constantFrom(...node.enum);
  if (node.anyOf !== undefined) return fc.oneof(...node.anyOf.map(build));
  switch (node.type) {
    case "object": {
      if (node.patternProperties !== undefined) {
        const [pattern, value] = Object.entries(node.patternProperties)[0] ?? [".*", {}];
        const key = fc.stringMatching(new RegExp(pattern)).filter((text) => text !== "__proto__");
        return fc.dictionary(key, build(value), { maxKeys: 3, noNullPrototype: true });
      }
      const fields = Object.entries(node.properties ?? {}).map(([key, at]) => [key, build(at)] as const);
      return fc.record(Object.fromEntries(fields), {
        requiredKeys: [...(node.required ?? [])],
        noNullPrototype: true,
      });
    }
    case "array": {
      const bounds = { minLength: node.minItems ?? 0, maxLength: Math.min(node.maxItems ?? 3, 3) };
      const items = build(node.items ?? {});
      return node.uniqueItems === true
        ? fc.uniqueArray(items, { ...bounds, selector: (item) => JSON.stringify(item) })
        : fc.array(items, bounds);
    }
    case "string":
      if (node.pattern !== undefined) return fc.stringMatching(new RegExp(node.pattern));
      return fc.string({ minLength: node.minLength ?? 0, maxLength: Math.min(node.maxLength ?? 20, 20) });
    case "integer":
      return fc.integer({
        min: Math.max(node.minimum ?? -1e9, Number.MIN_SAFE_INTEGER),
        max: Math.min(node.maximum ?? Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
      });
    case "number":
      return fc
        .double({ min: node.minimum ?? -1e9, max: node.maximum ?? 1e9, noNaN: true })
        .map((value) => (Object.is(value, -0) ? 0 : value));
    case "boolean":
      return fc.boolean();
    case "null":
      return fc.constant(null);
    default:
      throw new Error(`no arbitrary for ${JSON.stringify(node)}`);
  }
};

/** Values that fit `schema`. */
export const arbitrary = <S extends TSchema>(schema: S): fc.Arbitrary<Static<S>> =>
  build(schema as unknown as Node) as fc.Arbitrary<Static<S>>;
