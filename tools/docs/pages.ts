/** Which reference pages are generated. */
import * as bus from "./bus.ts";
import * as http from "./http.ts";
import * as jobDocument from "./job-document.ts";
import * as metrics from "./metrics.ts";
import * as problems from "./problems.ts";
import * as securityMutants from "./security-mutants.ts";

export const pages: ReadonlyMap<string, () => string> = new Map([
  ["bus.md", bus.render],
  ["http.md", http.render],
  ["job-document.md", jobDocument.render],
  ["metrics.md", metrics.render],
  ["problems.md", problems.render],
  ["security-mutants.md", securityMutants.render],
]);
