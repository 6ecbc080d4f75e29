/**
 * What `scripts/lint.mjs` asks of C and C++, and every exception from it with its reason. `files` names the files that
 * an exception is for; without it, it is for all. There are no exceptions in the sources.
 */
export const TIDY_CHECKS = ["bugprone-*", "cert-*", "concurrency-*", "clang-analyzer-*"];

/** Second names of checks that run under `bugprone-*` or `concurrency-*`: each of them would do the same work once more. */
export const TIDY_ALIASES = [
  "cert-con36-c",
  "cert-con54-cpp",
  "cert-dcl37-c",
  "cert-dcl51-cpp",
  "cert-exp42-c",
  "cert-flp37-c",
  "cert-oop54-cpp",
  "cert-pos44-c",
  "cert-pos47-c",
  "cert-sig30-c",
];

export const TIDY_EXCEPTIONS = [
  {
    check: "bugprone-easily-swappable-parameters",
    why: "The kernel's interfaces are made of ints; (dir, fd, flags) is the order of every system call here.",
  },
  {
    check: "clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling",
    why: "Asks for memcpy_s and friends (C11 annex K), which glibc does not have.",
  },
  {
    check: "concurrency-mt-unsafe",
    files: /src\/(supervisor|unpack|pack|seccomp)\//,
    why: "The supervisor, init, the unpacker, the packer and the generator have one thread each.",
  },
  {
    check: "concurrency-mt-unsafe",
    files: /src\/addon\/tree\.cc$/,
    why: "readdir(3) is safe for streams that are not shared; readdir_r is deprecated.",
  },
  {
    check: "clang-analyzer-security.insecureAPI.vfork",
    files: /src\/supervisor\/(payload|hook|join)\.c$/,
    why: "The fastest way to exec, and both processes have one thread; test/between-vfork-and-exec.test.ts guards what is called.",
  },
  {
    check: "clang-analyzer-unix.Vfork",
    files: /src\/supervisor\/(payload|hook|join)\.c$/,
    why: "Allows nothing but exec and _exit; ours moves descriptors first, by async-signal-safe calls (the same test).",
  },
  {
    check: "clang-analyzer-cplusplus.NewDeleteLeaks",
    files: /src\/addon\/(start|tree)\.cc$/,
    why: "A Napi::AsyncWorker deletes itself when its work is done; the sanitized build counts leaks.",
  },
];

export const CPPCHECK_EXCEPTIONS = [
  {
    check: "readdirCalled",
    why: "readdir_r(3) is deprecated, and readdir(3) is safe where each stream has one user, as here.",
  },
  {
    check: "resourceLeak",
    why: "Does not know __attribute__((cleanup)). The clang analyzer does, and test/soak.test.ts counts descriptors.",
  },
  {
    check: "nullPointer",
    why: "Takes NULL arguments inside of a statement expression (RETRY_INTR) for a dereference. clang-analyzer-core.NullDereference looks instead.",
  },
  {
    check: "AssignmentIntegerToAddress",
    why: "Takes prctl(2)'s variadic numbers for pointers. The compiler knows the real types (-Wconversion, -Wint-conversion).",
  },
  {
    check: "vforkCalled",
    files: ["src/supervisor/payload.c", "src/supervisor/hook.c", "src/supervisor/join.c"],
    why: "As above: vfork on purpose, with a test of its own.",
  },
  {
    check: "readdirCalled",
    files: ["src/addon/tree.cc"],
    why: "As above: readdir_r is deprecated.",
  },
];
