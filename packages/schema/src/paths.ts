/** True for an absolute path that says where it leads without looking: no `.`, no `..`, no `//`. */
export const isNormal = (path: string): boolean =>
  path === "/" ||
  (!path.includes("\0") &&
    path
      .slice(1)
      .split("/")
      .every((part) => part !== "" && part !== "." && part !== ".."));
