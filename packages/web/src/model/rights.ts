/** Why a change would be refused, as the API has said what this page may do. Nothing is guessed: not knowing refuses nothing. */
import type { ProjectName, Self } from "@berth/schema";

/** `route` as in Routes. Undefined: it may be asked for. */
export const rightsRefusal = (self: Self | undefined, route: string, project: ProjectName): string | undefined => {
  if (self?.may === undefined) return undefined;
  if (!self.may.includes(`POST ${route}`)) return `${self.name} has the role ${self.role}, which may not do this`;
  if (self.projects === null || self.projects.includes(project)) return undefined;
  return `${self.name} may do this in ${self.projects.join(", ")} only`;
};
