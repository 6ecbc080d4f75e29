/** Rules 20 to 34: capabilities, system calls, devices, what is masked, namespaces. */
import { ANY_LINK, filter, supervisor, type Mutant } from "./mutant.ts";

export const ofRights: readonly Mutant[] = [
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
      supervisor("privileges.c", "if (!gains && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)", "if (!gains && false)"),
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
    edits: [supervisor("init.c", "CLONE_NEWUTS | CLONE_NEWCGROUP", "CLONE_NEWUTS")],
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
    edits: [
      filter(
        "  deny_families(filter, SCMP_SYS(socket));\n  deny_families(filter, SCMP_SYS(socketpair));\n",
        "  (void)deny_families;\n",
      ),
    ],
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
    rule: 28,
    without: "the masks over what processors tell of their throttling",
    edits: [supervisor("mask.c", '"%.16s/thermal_throttle"', '"%.16s/no_such_thing"')],
    file: "security/masks.test.ts",
    test: "a /sys with firmware, power meters, SELinux and processors that count their throttling",
  },
  {
    rule: 28,
    without: "the masks over /sys of a standby",
    edits: [supervisor("prepared.c", "null < 0 || mask_sys(&mask, birth->sys, err) < 0", "null < 0")],
    file: "pool.test.ts",
    test: "makes the same container as a start without it, mounts and masks and sysctls included",
  },
  {
    rule: 28,
    without: "the masks over /proc of a standby",
    edits: [supervisor("mounts.c", "int failed = mask_proc(&mask, prepared.proc, err);", "int failed = 0;")],
    file: "pool.test.ts",
    test: "makes the same container as a start without it, mounts and masks and sysctls included",
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
    rule: 29,
    without: "the wait of whoever may mount, until what was its root before is gone",
    edits: [
      supervisor("old_root.c", "prepared.kinds != 0 && !may_mount", "prepared.kinds != 0 && (may_mount || true)"),
    ],
    file: "security/probe.test.ts",
    test: "a container that may mount begins when that is gone",
  },
  {
    rule: 29,
    without: "taking the host's /proc off what was the root before, once nobody waits for it",
    edits: [supervisor("old_root.c", "kept.count == 0", "kept.count <= ROOTFS_MAX_FDS")],
    file: "security/probe.test.ts",
    test: "nor while what was its root before is still below its own, with the host's /proc on it",
  },
  {
    rule: 30,
    without: "a projid_map that is written once and for all",
    edits: [supervisor("userns.c", "failed == 0 && i < 3; i++)", "failed == 0 && i < 2; i++)")],
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
        "if (fchown(output->writers[i], owner, owner) < 0)",
        "if (fchown(output->writers[i], owner, owner) < 0 || fchown(0, owner, owner) < 0)",
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
    rule: 33,
    without: "volumes that are private, not only deaf to the host",
    edits: [supervisor("rootfs.c", "!= 0 ? MS_SLAVE : MS_PRIVATE", "!= 0 ? MS_SLAVE : MS_SLAVE")],
    file: "security/kernel.test.ts",
    test: "all of them are private: none has a peer or a master",
  },
  {
    rule: 34,
    without: "links that stay inside, so that an error could tell what is outside",
    edits: [ANY_LINK],
    file: "security/paths.test.ts",
    test: "an error says nothing about what exists outside of the root",
  },
];
