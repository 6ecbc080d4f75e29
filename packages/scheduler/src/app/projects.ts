/** Projects as the API has them: declared, changed and removed by admins, seen by whoever may see into them. */
import {
  err,
  ok,
  problem,
  type AccessProjects,
  type Origin,
  type Problem,
  type ProjectChange,
  type ProjectList,
  type ProjectName,
  type ProjectRemoved,
  type ProjectRequest,
  type ProjectView,
  type Result,
} from "@berth/schema";
import {
  decideProject,
  decideProjectChange,
  decideRemoveProject,
  projectNames,
  projectView,
  seesProject,
} from "../core/index.ts";
import type { Clock } from "../ports/clock.ts";
import type { Engine } from "./engine.ts";
import { pageOf, type PageRequest } from "./pages.ts";
import { writeRecords } from "./write.ts";

type Answer<T> = Promise<Result<T, Problem>>;

export interface Projects {
  readonly createProject: (request: ProjectRequest, origin: Origin) => Answer<ProjectView>;
  readonly changeProject: (name: ProjectName, change: ProjectChange, origin: Origin) => Answer<ProjectView>;
  readonly removeProject: (name: ProjectName, origin: Origin) => Answer<ProjectRemoved>;
  /** Those that are seen. */
  readonly projects: (page: PageRequest, sees: AccessProjects) => Result<ProjectList, Problem>;
  readonly project: (name: ProjectName) => Result<ProjectView, Problem>;
}

const NEED = { role: "admin" } as const;

export const createProjects = ({ engine, clock }: { readonly engine: Engine; readonly clock: Clock }): Projects => {
  const { state } = engine;
  const viewOf = (name: ProjectName): ProjectView => projectView(state, name, clock.nowMs());
  return {
    createProject: async (request, origin) => {
      const decide = (now: typeof state) => decideProject(now, request, origin.who);
      const done = await writeRecords(engine, "project", origin, NEED, decide);
      return done.ok ? ok(viewOf(request.name)) : done;
    },
    changeProject: async (name, change, origin) => {
      const decide = (now: typeof state) => decideProjectChange(now, name, change, origin.who);
      const done = await writeRecords(engine, "project change", origin, NEED, decide);
      return done.ok ? ok(viewOf(name)) : done;
    },
    removeProject: async (name, origin) => {
      const decide = (now: typeof state) => decideRemoveProject(now, name, origin.who);
      const done = await writeRecords(engine, "project removal", origin, NEED, decide);
      return done.ok ? ok({ name, revision: done.value }) : done;
    },
    projects: (page, projects) => {
      const found = pageOf(
        [...projectNames(state)].filter((name) => seesProject({ projects }, name)),
        page,
      );
      if (!found.ok) return found;
      return ok({ items: found.value.keys.map(viewOf), next: found.value.next, revision: state.revision });
    },
    project: (name) =>
      projectNames(state).has(name)
        ? ok(viewOf(name))
        : err(
            problem("project.not_found", `there is no project ${name}: nobody has declared it, and nothing is in it`),
          ),
  };
};
