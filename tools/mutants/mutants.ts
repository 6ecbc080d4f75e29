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
  /** The test file, relative to packages/native/test, and the name of the test that must fail. */
  readonly file: string;
  readonly test: string;
}

const supervisor = (name: string, find: string, replace: string): Edit => ({
  file: `packages/native/src/supervisor/${name}`,
  find,
  replace,
});
const addon = (name: string, find: string, replace: string): Edit => ({
  file: `packages/native/src/addon/${name}`,
  find,
  replace,
});
const filter = (find: string, replace: string): Edit => ({
  file: "packages/native/src/seccomp/generate.c",
  find,
  replace,
});

const RACE = "starts while directories and links change places: nothing is mounted or made outside of the root";
const KERNEL_TARGETS = "where the kernel's files belong, is refused";
/** Relative to the root, but links lead where they lead. */
const ANY_LINK = supervisor(
  "fd.c",
  "return open2(root, path, flags, RESOLVE_IN_ROOT);",
  'return open2(root, path[1] == 0 ? "." : path + 1, flags, 0);',
);

export const mutants: readonly Mutant[] = [
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
      supervisor("main.c", 'chdir("/") < 0 || syscall(SYS_close_range, BERTH_FD_COUNT, ~0U, 0) < 0', 'chdir("/") < 0'),
      supervisor("payload.c", "syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) < 0", "0"),
    ],
    file: "security/descriptors.test.ts",
    test: "a descriptor that an agent forgot to close reaches neither the supervisor nor the workload",
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
  {
    rule: 20,
    without: "empty inheritable and ambient sets",
    edits: [supervisor("privileges.c", "privileges_set(kept | own, 0, err)", "privileges_set(kept | own, kept, err)")],
    file: "security/privileges.test.ts",
    test: "the inheritable and ambient sets are empty at the start",
  },
  {
    rule: 21,
    without: "no_new_privs (the filter is then installed by the right of SYS_ADMIN)",
    edits: [
      supervisor("privileges.c", "if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)", "if (0)"),
      supervisor(
        "privileges.c",
        "privileges_set(kept | own, 0, err)",
        "privileges_set(kept | own | BIT(CAP_SYS_ADMIN), 0, err)",
      ),
    ],
    file: "security/privileges.test.ts",
    test: "no_new_privs is set: neither a set-uid bit nor a file capability gives anything",
  },
  {
    rule: 22,
    without: "a list that has no SYS_ADMIN",
    edits: [
      {
        file: "packages/native/include/spec.h",
        find: "UINT64_C(0x00000000800405fb)",
        replace: "UINT64_C(0x00000000802405fb)",
      },
    ],
    file: "security/privileges.test.ts",
    test: "the bounding set is a short list; what could reach the host is in no set",
  },
  {
    rule: 23,
    without: "a cgroup namespace",
    edits: [supervisor("init.c", "CLONE_NEWIPC | CLONE_NEWCGROUP", "CLONE_NEWIPC")],
    file: "security/kernel.test.ts",
    test: "cgroups: a namespace of its own, none writable, no release_agent, no hierarchy can be mounted",
  },
  {
    rule: 24,
    without: "the denial of clone with a user namespace",
    edits: [
      filter(
        "SCMP_SYS(clone), 1,\n                        SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER)",
        "SCMP_SYS(clone), 1,\n                        SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWNS | CLONE_NEWUSER, CLONE_NEWNS | CLONE_NEWUSER)",
      ),
    ],
    file: "security/seccomp.test.ts",
    test: "a new user namespace: by clone and unshare in every mix of flags; clone3 does not exist",
  },
  {
    rule: 25,
    without: "the denial of add_key",
    edits: [filter('"add_key", "keyctl"', '"keyctl"')],
    file: "security/seccomp.test.ts",
    test: "keyrings",
  },
  {
    rule: 25,
    without: "the denial of open_tree_attr, which this libseccomp does not know",
    edits: [filter('"open_tree", "open_tree_attr", "fsopen"', '"open_tree", "fsopen"')],
    file: "security/seccomp.test.ts",
    test: "mounts",
  },
  {
    rule: 25,
    without: "the end of whoever calls by a foreign ABI",
    edits: [filter("SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS", "SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW")],
    file: "security/seccomp.test.ts",
    test: "calls of another ABI kill the process, each of them",
  },
  {
    rule: 25,
    without: "the list of socket families",
    edits: [filter("  deny_families(filter);\n", "  (void)deny_families;\n")],
    file: "security/seccomp.test.ts",
    test: "sockets: unix, IPv4, IPv6, netlink and packets; of no other family, AF_VSOCK and AF_ALG among them",
  },
  {
    rule: 25,
    without: "the denial of typing into a terminal",
    edits: [filter("SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, TIOCSTI)", "SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, 0)")],
    file: "security/seccomp.test.ts",
    test: "typing into a terminal: the upper half of an argument changes nothing",
  },
  {
    rule: 26,
    without: "the filter",
    edits: [
      supervisor(
        "privileges.c",
        "if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) < 0)",
        "if (filter.len == 0)",
      ),
    ],
    file: "security/seccomp.test.ts",
    test: "every process of a container has the filter and no_new_privs, from before its program on",
  },
  {
    rule: 27,
    without: "a /proc/sys that is read-only",
    edits: [supervisor("mask.c", '"pressure", "sys", "sysrq-trigger"', '"pressure", "sysrq-trigger"')],
    file: "security/kernel.test.ts",
    test: "the kernel's switches cannot be written: sysrq, core_pattern, modprobe, uevent helper, every sysctl",
  },
  {
    rule: 27,
    without: "the short list of sysctls, on both sides",
    edits: [
      {
        file: "packages/native/lib/spec/security.ts",
        find: "if (name.length > 200 || !ALLOWED.some((pattern) => pattern.test(name)))",
        replace: "if (name.length > 200 && !ALLOWED.some((pattern) => pattern.test(name)))",
      },
      supervisor(
        "sysctl.c",
        "bool sysctl_is_allowed(const char *name)\n{",
        "bool sysctl_is_allowed(const char *name)\n{\n  if (name[0] != 0)\n    return true;",
      ),
    ],
    file: "sandbox.test.ts",
    test: "is refused",
  },
  {
    rule: 28,
    without: "the mask over interrupts",
    edits: [supervisor("mask.c", '"latency_stats", "interrupts", "acpi"', '"latency_stats", "acpi"')],
    file: "security/kernel.test.ts",
    test: "cover everything of the list that this kernel has",
  },
  {
    rule: 28,
    without: "the mask over vmcoreinfo",
    edits: [supervisor("mask.c", ',\n                                          "kernel/vmcoreinfo" };', " };")],
    file: "security/probe.test.ts",
    test: "a default container, beside a neighbour and a host that have something to find, finds nothing",
  },
  {
    rule: 29,
    without: "both walls in front of mounts: the filter, and a list without SYS_ADMIN",
    edits: [
      {
        file: "packages/native/include/spec.h",
        find: "UINT64_C(0x00000000800405fb)",
        replace: "UINT64_C(0x00000000802405fb)",
      },
      supervisor(
        "privileges.c",
        "if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) < 0)",
        "if (filter.len == 0)",
      ),
    ],
    file: "security/kernel.test.ts",
    test: "survive umount, remount, a second mount over them and every newer call",
  },
  {
    rule: 30,
    without: "a projid_map that is written once and for all",
    edits: [supervisor("userns.c", 'if (fd_write_at(process, "projid_map", text) < 0)', "if (0)")],
    file: "security/probe.test.ts",
    test: "a default container, beside a neighbour and a host that have something to find, finds nothing",
  },
  {
    rule: 30,
    without: "a range that ends: the next container's ids are mapped as well",
    edits: [
      supervisor(
        "userns.c",
        'text, sizeof text, "0 %u %u\\n", id_base, BERTH_ID_COUNT)',
        'text, sizeof text, "0 %u %u\\n", id_base, 2 * BERTH_ID_COUNT)',
      ),
    ],
    file: "security/privileges.test.ts",
    test: "root inside is nobody outside: ids are a range of its own, mapped once and for all",
  },
  {
    rule: 31,
    without: "nodev on volumes",
    edits: [
      supervisor(
        "rootfs.c",
        "uint64_t attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;",
        "uint64_t attributes = MOUNT_ATTR_NOSUID;",
      ),
    ],
    file: "security/devices.test.ts",
    test: "a node of the host's disk, in the image or in a volume, cannot be opened",
  },
  {
    rule: 31,
    without: "nodev on the root",
    edits: [
      supervisor("rootfs.c", "fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV);", "fsmount(fs, FSMOUNT_CLOEXEC, 0);"),
    ],
    file: "security/devices.test.ts",
    test: "a node of the host's disk, in the image or in a volume, cannot be opened",
  },
  {
    rule: 31,
    without: "the host's word on devices",
    edits: [
      {
        file: "packages/native/lib/spec/devices.ts",
        find: "  checkPolicy(devices, policy);\n",
        replace: "  void checkPolicy;\n",
      },
    ],
    file: "devices.test.ts",
    test: "only what the host's policy names",
  },
  {
    rule: 32,
    without: "the line between what was made for a container and what was not",
    edits: [
      supervisor(
        "output.c",
        "if (fchown(ends[1], owner, owner) < 0)",
        "if (fchown(ends[1], owner, owner) < 0 || fchown(0, owner, owner) < 0)",
      ),
    ],
    file: "security/descriptors.test.ts",
    test: "/dev/null of the host keeps its owner and mode; pipes that were made for a container are its own",
  },
  {
    rule: 33,
    without: "volumes that are private",
    edits: [
      supervisor(
        "rootfs.c",
        "(mount->flags & BERTH_MOUNT_SLAVE) != 0 ? MS_SLAVE : MS_PRIVATE",
        "(mount->flags & BERTH_MOUNT_SLAVE) != 0 ? MS_SLAVE : 0",
      ),
    ],
    file: "security/kernel.test.ts",
    test: "what the host mounts below a volume later does not appear inside, though it is shared on the host",
  },
  {
    rule: 34,
    without: "links that stay inside, so that an error could tell what is outside",
    edits: [ANY_LINK],
    file: "security/paths.test.ts",
    test: "an error says nothing about what exists outside of the root",
  },
  {
    rule: 38,
    without: "the memory limit",
    edits: [
      {
        file: "packages/native/lib/resources/memory.ts",
        find: "  const swap = wanted.swapBytes ?? 0;\n",
        replace: "  const swap = wanted.swapBytes ?? 0;\n  if (swap === 0) return [];\n",
      },
    ],
    file: "security/limits.test.ts",
    test: "are in the kernel before the program runs",
  },
  {
    rule: 39,
    without: "an empty environment of the supervisor",
    edits: [addon("start.cc", "char* const envp[] = {nullptr};", "char* const* envp = environ;")],
    file: "security/program.test.ts",
    test: "the supervisor has an empty environment and descriptors of nothing but its own container",
  },
];
