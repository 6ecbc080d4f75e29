/** docs/reference/security-mutants.md: what `pnpm mutants` takes away, rule by rule, and which test notices. */
import { mutants, testPathOf } from "../mutants/mutants.ts";
import { page, table } from "./markdown.ts";

export const render = (): string =>
  page(
    "What happens when a security rule is removed",
    "For each of the [security rules](../explanation/security-rules.md) there is at least one change of the source that removes its protection. `pnpm mutants` (or `pnpm mutants 5 36`, by rule) makes them one after the other in a copy of the checkout, builds it, and demands that the test named here fails while a plain container still starts. It needs what the integration tests need, and takes minutes, so it is no part of `npm test`; that every rule has such a change, that it still fits the source, and that the test exists is.",
    table(
      ["rule", "without", "test that fails"],
      mutants.map((mutant) => [
        `${mutant.rule}`,
        mutant.without,
        `\`${testPathOf(mutant).slice("packages/".length)}\`: "${mutant.test}"`,
      ]),
    ),
  );
