/** Rules 1 to 19 but for archives: programs, descriptors, paths, mounts, users. */
import { ANY_LINK, addon, supervisor, type Mutant } from "./mutant.ts";

const RACE = "starts while directories and links change places: nothing is mounted or made outside of the root";
/** All descriptors of the supervisor close themselves at an exec, so one has to be there that does not. */
const FORGOTTEN = supervisor("loop.c", "epoll_create1(EPOLL_CLOEXEC)", "epoll_create1(0)");
const KERNEL_TARGETS = "where the kernel's files belong, is refused";

export const ofPathsAndFiles: readonly Mutant[] = [
  {
    rule: 1,
    without: "the seal against writing",
    edits: [addon("image.cc", "F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK", "F_ADD_SEALS, F_SEAL_SHRINK")],
    file: "security/program.test.ts",
    test: "supervisor and init run from a memory file sealed against writing, growing, shrinking and other seals",
  },
  {
    rule: 1,
    without: "an init that is not dumpable",
    edits: [
      supervisor("init.c", "if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)", "if (0)"),
      supervisor(
        "init.c",
        "if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl",
        "if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0 || prctl",
      ),
    ],
    file: "security/program.test.ts",
    test: "init is not dumpable: all of /proc/1 belongs to the host's root",
  },
  {
    rule: 2,
    without: "closing what the agent forgot, in the supervisor and before the program",
    edits: [
      supervisor(
        "detach.c",
        'chdir("/") < 0 || syscall(SYS_close_range, BERTH_FD_COUNT + joins, ~0U, 0) < 0',
        'chdir("/") < 0',
      ),
      supervisor("payload.c", "syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) < 0", "0"),
    ],
    file: "security/descriptors.test.ts",
    test: "a descriptor that an agent forgot to close reaches neither the supervisor nor the workload",
  },
  {
    rule: 2,
    without:
      "closing what the supervisor has and what forgets to close itself, for a program that is executed in the container",
    edits: [
      FORGOTTEN,
      supervisor(
        "exec_child.c",
        "if (enter(plan, &err) < 0 || keep_descriptors(plan, &err) < 0)",
        "if (enter(plan, &err) < 0 || (plan->report < 0 && keep_descriptors(plan, &err) < 0))",
      ),
      supervisor(
        "exec_child.c",
        "if (payload_connect(stdio, wants_terminal(plan)) < 0 || syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)",
        "if (payload_connect(stdio, wants_terminal(plan)) < 0)",
      ),
    ],
    file: "exec.test.ts",
    test: "is in every namespace and cgroup of its container, and as confined",
  },
  {
    rule: 2,
    without: "closing what the supervisor has and what forgets to close itself, for a hook",
    edits: [
      FORGOTTEN,
      supervisor("hook.c", "syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) == 0)", "input >= 0)"),
    ],
    file: "hooks.test.ts",
    test: "each runs once, at its time, with the status on stdin and nothing but its own environment",
  },
  {
    rule: 3,
    without: "a working directory that is resolved inside, and the look at where it is",
    edits: [
      supervisor(
        "init.c",
        "root < 0 ? -1 : fd_make_dirs(root, path);",
        "root < 0 ? -1 : open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);",
      ),
      supervisor("init.c", "where[0] != '/')", "where[0] == 0)"),
    ],
    file: "security/descriptors.test.ts",
    test: "a working directory of /proc/self/fd/N is refused for every N",
  },
  {
    rule: 4,
    without: "RESOLVE_IN_ROOT",
    edits: [ANY_LINK],
    file: "security/paths.test.ts",
    test: "makes nothing outside",
  },
  {
    rule: 5,
    without: "a source that is reached without links and mounted by its descriptor",
    edits: [supervisor("rootfs.c", "fd_open_no_links(path, O_PATH);", "open(path, O_PATH | O_CLOEXEC);")],
    file: "security/race.test.ts",
    test: RACE,
  },
  {
    rule: 6,
    without: "one lookup only: the target is checked, and looked up by its path again",
    edits: [
      supervisor(
        "mounts.c",
        "  int target = fd_open_in_root(root, path, O_PATH);\n",
        "  int checked = fd_open_in_root(root, path, O_PATH);\n  int target = checked < 0 ? checked : openat(root, path + 1, O_PATH | O_CLOEXEC);\n",
      ),
      supervisor(
        "fd.c",
        'cleanup_close int parent = fd_open_in_root(root, "/", O_PATH | O_DIRECTORY);',
        'cleanup_close int parent = openat(root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);',
      ),
      supervisor(
        "fd.c",
        "    int next = fd_open_in_root(root, prefix, O_PATH | O_DIRECTORY);\n    if (next < 0 && errno == ENOENT)",
        "    int next = openat(root, prefix + 1, O_PATH | O_DIRECTORY | O_CLOEXEC);\n    if (next < 0 && errno == ENOENT)",
      ),
    ],
    file: "security/race.test.ts",
    test: RACE,
  },
  {
    rule: 7,
    without: "links that stay inside, in a volume that two containers share",
    edits: [ANY_LINK],
    file: "security/race.test.ts",
    test: RACE,
  },
  {
    rule: 8,
    without: "the null device as the mask",
    edits: [supervisor("mounts.c", 'openat(dev, "null", O_PATH', 'openat(dev, "zero", O_PATH')],
    file: "security/kernel.test.ts",
    test: "are the null device that the supervisor made, character 1:3, over files; empty over directories",
  },
  {
    rule: 9,
    without: "a console that is the terminal's own descriptor",
    edits: [
      supervisor(
        "terminal.c",
        'open_tree(slave, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);',
        'open_tree(AT_FDCWD + 0 * slave, "/dev/tty", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);',
      ),
    ],
    file: "security/terminal.test.ts",
    test: "/dev/console is the program's terminal, into which nothing can be typed from inside",
  },
  {
    rule: 10,
    without: "the refusal of links at /proc, /sys and /dev, through which what is written there would go elsewhere",
    edits: [supervisor("fd.c", "RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS", "RESOLVE_IN_ROOT")],
    file: "security/paths.test.ts",
    test: "with a link or a file at /",
  },
  {
    rule: 11,
    without: "the file that was meant: another of the same procfs is written",
    edits: [supervisor("sysctl.c", '"sys/%s", name);', '"sys/net/core/somaxconn%.0s", name);')],
    file: "sandbox.test.ts",
    test: "of the container's own namespaces are set, and the host's stay",
  },
  {
    rule: 12,
    without: "the refusal of links at /proc, /sys and /dev",
    edits: [supervisor("fd.c", "RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS", "RESOLVE_IN_ROOT")],
    file: "security/paths.test.ts",
    test: "with a link or a file at /",
  },
  {
    rule: 13,
    without: "the list of reserved targets, on both sides",
    edits: [
      {
        file: "packages/native/lib/spec/mounts.ts",
        find: 'if (first !== undefined && !["proc", "sys", "dev"].includes(first)) return target;',
        replace: "if (parts.length < 1000) return target;",
      },
      supervisor(
        "spec_mounts.c",
        "if (is_reserved(target, mount->kind))",
        "if (is_reserved(target, mount->kind) && target[0] != '/')",
      ),
    ],
    file: "security/paths.test.ts",
    test: KERNEL_TARGETS,
  },
  {
    rule: 14,
    without: "links that stay inside, where mount points are made",
    edits: [ANY_LINK],
    file: "security/paths.test.ts",
    test: "makes nothing outside",
  },
  {
    rule: 16,
    without: "layers that are reached without links",
    edits: [supervisor("rootfs.c", "fd_open_no_links(path, O_PATH);", "open(path, O_PATH | O_CLOEXEC);")],
    file: "security/paths.test.ts",
    test: "that is itself a symbolic link is refused",
  },
  {
    rule: 18,
    without: "names that are checked before they become paths, on both sides",
    edits: [
      {
        file: "packages/native/lib/spec.ts",
        find: 'const id = matching(/^[a-z0-9_-]{1,64}$/, "1 to 64 of a-z, 0-9, _ and -");',
        replace: 'const id = matching(/^[^]{1,64}$/, "1 to 64 of a-z, 0-9, _ and -");',
      },
      supervisor("spec.c", 'if (!check_is_name(spec->id, "_-"))', "if (spec->id[0] == 0)"),
    ],
    file: "spec.test.ts",
    test: "nonsense in a field is refused by its name, and nothing is left behind",
  },
  {
    rule: 19,
    without: "numbers that are checked: 4294967296 becomes root",
    edits: [
      {
        file: "packages/native/lib/spec/process.ts",
        find: "for (const part of parts) account(field, part);",
        replace: "",
      },
      supervisor("users.c", "if (value >= UINT32_MAX)", "if (value == UINT64_MAX)"),
    ],
    file: "security/users.test.ts",
    test: "is refused",
  },
];
