/**
 * Every view has an address, and every address a view: `parseRoute(hrefOf(route))` is `route`. The server answers
 * index.html for these paths, so a reload shows the same. Filters live in the query, which this does not touch.
 */

export type Route =
  | { readonly screen: "overview" }
  | { readonly screen: "hosts" }
  | { readonly screen: "host"; readonly host: string }
  | { readonly screen: "jobs" }
  | { readonly screen: "job"; readonly project: string; readonly job: string }
  | { readonly screen: "allocation"; readonly allocation: string }
  | { readonly screen: "missing"; readonly path: string };

const decode = (segment: string): string | undefined => {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
};

export const parseRoute = (path: string): Route => {
  const missing: Route = { screen: "missing", path };
  const segments = path
    .split("/")
    .filter((segment) => segment !== "")
    .map(decode);
  if (segments.includes(undefined)) return missing;
  const [kind, first, second, ...rest] = segments;
  if (rest.length > 0) return missing;
  if (kind === undefined) return { screen: "overview" };
  if (kind === "hosts" && second === undefined) {
    return first === undefined ? { screen: "hosts" } : { screen: "host", host: first };
  }
  if (kind === "jobs" && first === undefined) return { screen: "jobs" };
  if (kind === "jobs" && first !== undefined && second !== undefined)
    return { screen: "job", project: first, job: second };
  if (kind === "allocations" && first !== undefined && second === undefined) {
    return { screen: "allocation", allocation: first };
  }
  return missing;
};

export const hrefOf = (route: Route): string => {
  switch (route.screen) {
    case "overview":
      return "/";
    case "hosts":
      return "/hosts";
    case "host":
      return `/hosts/${encodeURIComponent(route.host)}`;
    case "jobs":
      return "/jobs";
    case "job":
      return `/jobs/${encodeURIComponent(route.project)}/${encodeURIComponent(route.job)}`;
    case "allocation":
      return `/allocations/${encodeURIComponent(route.allocation)}`;
    case "missing":
      return route.path;
  }
};

/** Which entry of the navigation a view belongs to. */
export const sectionOf = (route: Route): "overview" | "hosts" | "jobs" | undefined => {
  switch (route.screen) {
    case "overview":
      return "overview";
    case "hosts":
    case "host":
      return "hosts";
    case "jobs":
    case "job":
    case "allocation":
      return "jobs";
    case "missing":
      return undefined;
  }
};
