/* The child: joins its cgroups, makes the cheap namespaces, waits for ids and mounts, and becomes the program. */
#include "floor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "seccomp_filter.h"

static void must(long result, const char *what)
{
  if (result < 0)
    die(what);
}

static int new_fs(const char *type, const char *const *options, unsigned attributes)
{
  int fs = fsopen(type, FSOPEN_CLOEXEC);
  must(fs, type);
  for (; options != NULL && *options != NULL; options += 2)
    must(fsconfig(fs, FSCONFIG_SET_STRING, options[0], options[1], 0), options[0]);
  must(fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0), type);
  int mounted = fsmount(fs, FSMOUNT_CLOEXEC, attributes);
  must(mounted, type);
  return mounted;
}

static void loopback_up(void)
{
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
  must(ioctl(fd, SIOCSIFFLAGS, &request), "lo up");
}

static void cover(int over, int top, const char *name)
{
  int tree = open_tree(over, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
  must(tree, name);
  must(move_mount(tree, "", top, name, MOVE_MOUNT_F_EMPTY_PATH), name);
}

static void mask(int top, const char *name, int null, int *empty)
{
  struct stat info;
  if (fstatat(top, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
    return;
  if (!S_ISDIR(info.st_mode)) {
    cover(null, top, name);
    return;
  }
  if (*empty >= 0) {
    cover(*empty, top, name);
    return;
  }
  static const char *const options[] = { "mode", "555", "size", "4096", NULL };
  *empty = new_fs("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY);
  must(move_mount(*empty, "", top, name, MOVE_MOUNT_F_EMPTY_PATH), name);
}

static void read_only(int top, const char *name)
{
  int tree = open_tree(top, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
  if (tree < 0)
    return;
  struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
  must(mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr), name);
  must(move_mount(tree, "", top, name, MOVE_MOUNT_F_EMPTY_PATH), name);
}

static void kernel_mounts(int root, int dev, bool with_sys)
{
  const unsigned plain = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  static const char *const pts[] = { "ptmxmode", "0666", "mode", "0620", "gid", "5", NULL };
  static const char *const shm[] = { "mode", "1777", "size", "67108864", NULL };
  static const char *const masked[] = { "kcore",         "keys",       "timer_list", "sched_debug", "latency_stats",
                                        "interrupts",    "acpi",       "scsi",       "asound",      "timer_stats" };
  static const char *const masked_sys[] = { "firmware", "devices/virtual/powercap" };
  static const char *const fixed[] = { "bus", "fs", "irq", "sys", "sysrq-trigger" };
  must(move_mount(dev, "", root, "dev", MOVE_MOUNT_F_EMPTY_PATH), "/dev");
  must(move_mount(new_fs("devpts", pts, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC), "", dev, "pts",
                  MOVE_MOUNT_F_EMPTY_PATH),
       "/dev/pts");
  must(move_mount(new_fs("tmpfs", shm, plain), "", dev, "shm", MOVE_MOUNT_F_EMPTY_PATH), "/dev/shm");
  must(move_mount(new_fs("mqueue", NULL, plain), "", dev, "mqueue", MOVE_MOUNT_F_EMPTY_PATH), "/dev/mqueue");
  int proc = new_fs("proc", NULL, plain);
  must(move_mount(proc, "", root, "proc", MOVE_MOUNT_F_EMPTY_PATH), "/proc");
  /* Only who owns the network namespace may mount it. */
  int sys = with_sys ? new_fs("sysfs", NULL, plain | MOUNT_ATTR_RDONLY) : -1;
  if (with_sys)
    must(move_mount(sys, "", root, "sys", MOVE_MOUNT_F_EMPTY_PATH), "/sys");
  int null = openat(dev, "null", O_PATH | O_CLOEXEC);
  int empty = -1;
  for (unsigned i = 0; i < sizeof masked / sizeof *masked; i++)
    mask(proc, masked[i], null, &empty);
  for (unsigned i = 0; with_sys && i < sizeof masked_sys / sizeof *masked_sys; i++)
    mask(sys, masked_sys[i], null, &empty);
  for (unsigned i = 0; i < sizeof fixed / sizeof *fixed; i++)
    read_only(proc, fixed[i]);
}

static void drop_privileges(void)
{
  static const int kept[] = { CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_FOWNER,  CAP_FSETID, CAP_KILL,      CAP_NET_BIND_SERVICE,
                              CAP_SETFCAP, CAP_SETGID,      CAP_SETPCAP, CAP_SETUID, CAP_SYS_CHROOT };
  uint64_t set = 0;
  for (unsigned i = 0; i < sizeof kept / sizeof *kept; i++)
    set |= UINT64_C(1) << kept[i];
  for (int capability = 0; capability <= CAP_LAST_CAP; capability++)
    if ((set & (UINT64_C(1) << capability)) == 0)
      must(prctl(PR_CAPBSET_DROP, capability, 0, 0, 0), "bounding set");
  struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
  struct __user_cap_data_struct data[2] = { { .effective = (uint32_t)set, .permitted = (uint32_t)set } };
  must(syscall(SYS_capset, &header, data), "capset");
  must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
  static struct sock_filter program[] = BERTH_SECCOMP_FILTER;
  struct sock_fprog filter = { .len = sizeof program / sizeof *program, .filter = program };
  must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter), "seccomp");
}

static void receive(int from, int *root, int *dev)
{
  int fds[2] = { -1, -1 };
  char byte;
  union {
    char bytes[CMSG_SPACE(sizeof fds)];
    struct cmsghdr align;
  } control;
  struct iovec part = { .iov_base = &byte, .iov_len = 1 };
  struct msghdr message = {
    .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes
  };
  if (recvmsg(from, &message, MSG_CMSG_CLOEXEC) != 1 || CMSG_FIRSTHDR(&message) == NULL)
    die("receive the mounts");
  const struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
  memcpy(fds, CMSG_DATA(rights), rights->cmsg_len - CMSG_LEN(0));
  *root = fds[0];
  *dev = fds[1];
}

_Noreturn void inside(const struct floor *floor, const struct container *container, int socket)
{
  const unsigned variant = container->variant;
  for (unsigned i = 0; i < floor->hierarchy_count; i++)
    if (container->tasks[i] >= 0)
      must(write(container->tasks[i], "0", 1), "join");
  must(unshare(CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP | ((variant & WITHOUT_NET) != 0 ? 0 : CLONE_NEWNET)),
       "unshare");
  must(sethostname("bench", 5), "sethostname");
  if ((variant & WITHOUT_NET) == 0)
    loopback_up();
  int root, dev;
  receive(socket, &root, &dev);
  if ((variant & WITHOUT_USER) == 0) {
    must(syscall(SYS_setgroups, 0, NULL), "setgroups");
    must(syscall(SYS_setresgid, 0, 0, 0), "setresgid");
    must(syscall(SYS_setresuid, 0, 0, 0), "setresuid");
  }
  must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private");
  must(move_mount(root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH), "root");
  if ((variant & WITHOUT_MOUNTS) == 0)
    kernel_mounts(root, dev, (variant & WITHOUT_NET) == 0);
  must(fchdir(root), "chdir");
  must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
  must(umount2(".", MNT_DETACH), "detach");
  (void)syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
  struct rlimit files = { .rlim_cur = 1024, .rlim_max = 20000 };
  must(setrlimit(RLIMIT_NOFILE, &files), "nofile");
  struct rlimit core = { .rlim_cur = 0, .rlim_max = RLIM_INFINITY };
  (void)setrlimit(RLIMIT_CORE, &core);
  if ((variant & WITHOUT_FILTER) == 0)
    drop_privileges();
  (void)setsid();
  (void)execve(floor->argv[0], floor->argv, (char *[]){ NULL });
  _exit(127);
}
