/**
 * Where the tasks of a job may and should run. What is absent asks for nothing.
 *
 * Groups are names within the project: a task belongs to the groups that its job names, and rules of any job may refer to
 * them. `by` is a place that hosts share: `host` for the host itself, or a label of it.
 */
import Type, { type Static } from "#typebox";
import { isHostPath, MAX_EXPRESSION } from "./expression.ts";

const strict = { additionalProperties: false } as const;
const expression = (description: string) => Type.String({ minLength: 1, maxLength: MAX_EXPRESSION, description });
const weight = (minimum: number, description: string) => Type.Integer({ minimum, maximum: 100, description });
const by = Type.String({ minLength: 1, maxLength: 128, description: "host, or a label of it: host.labels.rack" });
const group = Type.String({ pattern: "^[a-z0-9][a-z0-9._-]{0,62}$", description: "name of a group in the project" });

export const PlacementRulesSchema = Type.Object(
  {
    require: Type.Optional(
      Type.Array(expression('what must be true of the host: host.arch == "x64"'), { maxItems: 16 }),
    ),
    prefer: Type.Optional(
      Type.Array(
        Type.Object(
          {
            rule: expression("what should be true of the host"),
            weight: weight(-100, "how much it counts; below 0: better not"),
          },
          strict,
        ),
        { maxItems: 16 },
      ),
    ),
    spread: Type.Optional(
      Type.Array(
        Type.Object(
          {
            by,
            maxSkew: Type.Optional(
              Type.Integer({ minimum: 1, maximum: 100_000, description: "never more than this above the least" }),
            ),
            weight: Type.Optional(weight(1, "how much evenness counts; default 50")),
          },
          strict,
        ),
        { maxItems: 4 },
      ),
    ),
    groups: Type.Optional(Type.Array(group, { maxItems: 8 })),
    apart: Type.Optional(
      Type.Array(Type.Object({ group, by: Type.Optional(by) }, strict), {
        maxItems: 8,
        description: "never where a task of that group is, and none of that group where a task of this job is",
      }),
    ),
    together: Type.Optional(
      Type.Array(Type.Object({ group, by: Type.Optional(by) }, strict), {
        maxItems: 8,
        description: "only where a task of that group is, once there is one",
      }),
    ),
    maxPerHost: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 100_000, description: "tasks of this job on one host; 1: distinct hosts" }),
    ),
  },
  strict,
);
export type PlacementRules = Static<typeof PlacementRulesSchema>;

export const DEFAULT_SPREAD_WEIGHT = 50;

/** True for `host` and for what hosts can share. */
export const isPlace = (text: string): boolean => text === "host" || isHostPath(text);
