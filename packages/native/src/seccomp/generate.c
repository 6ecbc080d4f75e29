/*
 * Compiles the default system call filter with libseccomp and prints it as a C array. Runs at build time.
 *
 * Everything is allowed but what follows: ways to reach the kernel's keyrings, programs, memory, mounts and clock, to
 * look into other processes, and to gain a new user namespace, in which all capabilities come back. A filter that
 * allowed a list would break each time libc learns a new call; the capabilities, the user namespace and the masked
 * paths are the other walls. Laid out as a binary tree: a list of compares would cost 0.7 ms per start.
 *
 * The filter `machine` is that of a container whose program is the init of a distribution. It lacks what such an init
 * lives by: mounts and namespaces of its own user namespace, the identity (not the opening) of file handles, and
 * reboot(2), which in a pid namespace ends that namespace and nothing else (pid_namespaces(7)).
 */
#include <errno.h>
#include <linux/filter.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *const denied[] = {
  /* keyrings are not namespaced */
  "add_key", "keyctl", "request_key",
  /* programs and new interfaces in the kernel */
  "bpf", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "perf_event_open", "fanotify_init",
  /* file handles walk around the mount namespace (shocker) */
  "open_by_handle_at",
  /* disks */
  "quotactl", "quotactl_fd",
  /* other processes */
  "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd", "move_pages",
  "migrate_pages",
  /* the machine */
  "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module", "query_module",
  "get_kernel_syms", "swapon", "swapoff", "acct", "syslog", "iopl", "ioperm", "settimeofday", "stime",
  "clock_settime", "clock_settime64", "clock_adjtime", "adjtimex", "lookup_dcookie", "nfsservctl", "uselib",
  "ustat", "sysfs", "_sysctl", "vm86", "vm86old",
};

/* What only the init of a machine may do. */
static const char *const denied_but_machines[] = {
  "mount", "umount", "umount2", "pivot_root", "move_mount", "open_tree", "open_tree_attr", "fsopen", "fsconfig",
  "fsmount", "fspick", "mount_setattr", "statmount", "listmount", "setns", "name_to_handle_at", "reboot", "vhangup",
};

static void must(int result, const char *what)
{
  if (result < 0) {
    (void)fprintf(stderr, "seccomp: %s: %s\n", what, strerror(-result));
    exit(1);
  }
}

/* Names that this libseccomp does not know are calls that a filter made by it cannot name: built against a newer one
   they are added. `open_tree_attr` (Linux 6.15) is given by number, since Debian 12's is older. */
static int number_of(const char *name)
{
  int number = seccomp_syscall_resolve_name(name);
#if defined(__x86_64__) || defined(__aarch64__)
  if (number == __NR_SCMP_ERROR) {
    if (strcmp(name, "open_tree_attr") == 0)
      return 467;
    if (strcmp(name, "statmount") == 0)
      return 457;
    if (strcmp(name, "listmount") == 0)
      return 458;
    if (strcmp(name, "quotactl_fd") == 0)
      return 443;
  }
#endif
  return number;
}

/* A family that nobody uses is loaded into the kernel by whoever asks for it, and that is how most of them became known
   (AF_ALG, AF_RDS, AF_TIPC, AF_VSOCK, …). What stays is what programs in a container use, and AF_PACKET for those that
   were given the capability. The upper half of the argument is noise to the kernel: a compare sees it, so it is refused
   as an unknown family. A pair of sockets is as good a way to ask. */
static void deny_families(scmp_filter_ctx filter, int call)
{
  static const int known[] = { AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET };
  const uint32_t refuse = SCMP_ACT_ERRNO(EAFNOSUPPORT);
  for (int family = 0; family <= AF_PACKET; family++) {
    bool usual = false;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
      usual = usual || known[i] == family;
    if (!usual)
      must(seccomp_rule_add(filter, refuse, call, 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family)), "socket");
  }
  must(seccomp_rule_add(filter, refuse, call, 1, SCMP_A0(SCMP_CMP_GT, AF_PACKET)), "socket");
}

static void deny(scmp_filter_ctx filter, const char *const *names, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    int number = number_of(names[i]);
    if (number < 0) {
      if (number == __NR_SCMP_ERROR)
        (void)fprintf(stderr, "seccomp: libseccomp does not know %s\n", names[i]);
      continue; /* not a call of this architecture */
    }
    must(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0), names[i]);
  }
}

static void print(scmp_filter_ctx filter, const char *name)
{
  int memory = memfd_create("filter", MFD_CLOEXEC);
  must(memory, "memfd");
  must(seccomp_export_bpf(filter, memory), "export");
  off_t size = lseek(memory, 0, SEEK_END);
  (void)lseek(memory, 0, SEEK_SET);
  size_t count = (size_t)size / sizeof(struct sock_filter);
  if (count == 0)
    must(-EINVAL, "export");
  struct sock_filter instruction;
  (void)printf("/* Generated by src/seccomp/generate.c: %zu instructions. */\n#define %s \\\n  { \\\n", count, name);
  while (read(memory, &instruction, sizeof instruction) == (ssize_t)sizeof instruction)
    (void)printf("    { 0x%04x, %u, %u, 0x%08x }, \\\n", instruction.code, instruction.jt, instruction.jf,
                 instruction.k);
  (void)printf("  }\n");
  (void)close(memory);
}

static void make(const char *name, bool machine)
{
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  if (filter == NULL)
    must(-ENOMEM, "init");
  must(seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), "foreign ABIs");
  must(seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2), "binary tree");

  deny(filter, denied, sizeof denied / sizeof *denied);
  if (!machine)
    deny(filter, denied_but_machines, sizeof denied_but_machines / sizeof *denied_but_machines);
  /* Its flags lie in memory, where a filter cannot look: libc falls back to clone(2) when it is absent. */
  must(seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0), "clone3");
  must(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                        SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER)),
       "clone");
  must(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 1,
                        SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER)),
       "unshare");
  /* Typing into the terminal of whoever looks; the argument is 32 bits wide, whatever stands above it. */
  must(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                        SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, TIOCSTI)),
       "ioctl TIOCSTI");
  must(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                        SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, TIOCLINUX)),
       "ioctl TIOCLINUX");
  deny_families(filter, SCMP_SYS(socket));
  deny_families(filter, SCMP_SYS(socketpair));
  print(filter, name);
  seccomp_release(filter);
}

int main(void)
{
  make("BERTH_SECCOMP_FILTER", false);
  make("BERTH_SECCOMP_MACHINE", true);
  return fflush(stdout) == 0 ? 0 : 1;
}
