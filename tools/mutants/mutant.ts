/**
 * For each security rule a change of the source that takes its protection away, and the test that must notice. Where
 * several layers protect, the change removes all of them: one that is left would hide that nobody tests for the rest.
 * `find` must occur exactly once in its file; mutants.test.ts checks that, so that a mutant cannot rot unseen.
 */
export interface Edit {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface Mutant {
  readonly rule: number;
  /** What the change takes away. */
  readonly without: string;
  readonly edits: readonly Edit[];
  /** The test file, and the name of the test that must fail. */
  readonly file: string;
  readonly test: string;
  /** Which ring of tests it belongs to, and what `file` is relative to: packages/native/test, else packages. */
  readonly ring?: "unit" | "integration";
}

/** From the root of the checkout. */
export const testPathOf = ({ file, ring }: Pick<Mutant, "file" | "ring">): string =>
  ring === undefined ? `packages/native/test/${file}` : `packages/${file}`;

export const supervisor = (name: string, find: string, replace: string): Edit => ({
  file: `packages/native/src/supervisor/${name}`,
  find,
  replace,
});
export const addon = (name: string, find: string, replace: string): Edit => ({
  file: `packages/native/src/addon/${name}`,
  find,
  replace,
});
export const unpack = (name: string, find: string, replace: string): Edit => ({
  file: `packages/native/src/unpack/${name}`,
  find,
  replace,
});
export const filter = (find: string, replace: string): Edit => ({
  file: "packages/native/src/seccomp/generate.c",
  find,
  replace,
});

/** Relative to the root, but links lead where they lead. */
export const ANY_LINK = supervisor(
  "fd.c",
  "return open2(root, path, flags, RESOLVE_IN_ROOT);",
  'return open2(root, path[1] == 0 ? "." : path + 1, flags, 0);',
);
