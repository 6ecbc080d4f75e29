/** The order of test files for a run that has only so long: BERTH_TEST_FIRST names, with commas, what comes before the rest. */
import { BaseSequencer, type TestSpecification } from "vitest/node";

const FIRST = (process.env["BERTH_TEST_FIRST"] ?? "").split(",").filter((name) => name !== "");

export class FirstThingsFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const comesFirst = ({ moduleId }: TestSpecification): boolean => FIRST.some((name) => moduleId.includes(name));
    return [...sorted.filter(comesFirst), ...sorted.filter((file) => !comesFirst(file))];
  }
}
