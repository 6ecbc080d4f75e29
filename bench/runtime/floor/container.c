/* The parent: cgroups, the clone, the id map, and the mounts that only the host's root can make. */
#include "floor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

uint64_t now_us(void)
{
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

_Noreturn void die(const char *what)
{
  (void)dprintf(2, "floor: %s: %s\n", what, strerror(errno));
  _exit(125);
}

static void must(long result, const char *what)
{
  if (result < 0)
    die(what);
}

static void put(int dir, const char *name, const char *text)
{
  int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT && strstr(name, "sw") != NULL)
    return; /* a kernel without swap accounting */
  must(fd, name);
  must(write(fd, text, strlen(text)), name);
  (void)close(fd);
}

/* Half a CPU asked for, one at most, 64 MiB, 64 processes. */
static void limit(const struct hierarchy *hierarchy, int dir)
{
  const bool v1 = hierarchy->version == 1;
  if (hierarchy->cpu && v1) {
    put(dir, "cpu.shares", "512");
    put(dir, "cpu.cfs_period_us", "20000");
    put(dir, "cpu.cfs_quota_us", "20000");
  } else if (hierarchy->cpu) {
    put(dir, "cpu.weight", "50");
    put(dir, "cpu.max", "20000 20000");
  }
  if (hierarchy->memory) {
    put(dir, v1 ? "memory.limit_in_bytes" : "memory.max", "67108864");
    put(dir, v1 ? "memory.memsw.limit_in_bytes" : "memory.swap.max", v1 ? "67108864" : "0");
  }
  if (hierarchy->pids)
    put(dir, "pids.max", "64");
}

static void cgroup_path(const struct floor *floor, const struct container *container, unsigned i, char *path,
                        size_t size)
{
  (void)snprintf(path, size, "%s/%s/f%u", floor->hierarchies[i].path, floor->parent, container->serial);
}

static void make_cgroups(const struct floor *floor, struct container *container)
{
  for (unsigned i = 0; i < floor->hierarchy_count; i++) {
    const struct hierarchy *hierarchy = &floor->hierarchies[i];
    char path[4096];
    cgroup_path(floor, container, i, path, sizeof path);
    must(mkdir(path, 0755), path);
    container->cgroups[i] = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(container->cgroups[i], path);
    limit(hierarchy, container->cgroups[i]);
    if (hierarchy->version == 1) {
      container->tasks[i] = openat(container->cgroups[i], "tasks", O_WRONLY | O_CLOEXEC);
      must(container->tasks[i], "tasks");
    }
  }
}

static int map_ids(pid_t pid, uint32_t base)
{
  char path[64], text[64];
  (void)snprintf(path, sizeof path, "/proc/%d", pid);
  (void)snprintf(text, sizeof text, "0 %u %u\n", base, ID_COUNT);
  int process = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  must(process, path);
  put(process, "uid_map", text);
  put(process, "gid_map", text);
  int user = openat(process, "ns/user", O_RDONLY | O_CLOEXEC);
  must(user, "ns/user");
  (void)close(process);
  return user;
}

static int layer_tree(const struct floor *floor, int user)
{
  int tree = open_tree(AT_FDCWD, floor->layer, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  must(tree, floor->layer);
  struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY, .propagation = MS_PRIVATE };
  if (user >= 0) {
    attr.attr_set |= MOUNT_ATTR_IDMAP;
    attr.userns_fd = (unsigned)user;
  }
  must(mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof attr), "map ids of the layer");
  return tree;
}

static void option(int fs, const char *key, const char *value)
{
  must(fsconfig(fs, FSCONFIG_SET_STRING, key, value, 0), key);
}

static int overlay(const struct floor *floor, const struct container *container, int lower, uint32_t owner)
{
  char top[32], path[96];
  (void)snprintf(top, sizeof top, "f%u", container->serial);
  must(mkdirat(floor->state, top, 0700), "state");
  int dir = openat(floor->state, top, O_PATH | O_DIRECTORY | O_CLOEXEC);
  must(dir, "state");
  static const char *const names[] = { "upper", "work" };
  for (unsigned i = 0; i < 2; i++) {
    must(mkdirat(dir, names[i], 0755), names[i]);
    must(fchownat(dir, names[i], owner, owner, AT_SYMLINK_NOFOLLOW), names[i]);
  }
  int fs = fsopen("overlay", FSOPEN_CLOEXEC);
  must(fs, "overlay");
  (void)snprintf(path, sizeof path, "/proc/self/fd/%d", lower);
  option(fs, "lowerdir+", path);
  (void)snprintf(path, sizeof path, "/proc/self/fd/%d/upper", dir);
  option(fs, "upperdir", path);
  (void)snprintf(path, sizeof path, "/proc/self/fd/%d/work", dir);
  option(fs, "workdir", path);
  option(fs, "redirect_dir", "nofollow");
  option(fs, "metacopy", "off");
  must(fsconfig(fs, FSCONFIG_SET_FLAG, "volatile", NULL, 0), "volatile");
  must(fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0), "overlay");
  int mounted = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV);
  must(mounted, "overlay");
  (void)close(fs);
  (void)close(dir);
  return mounted;
}

static int devices(uint32_t owner)
{
  static const struct {
    const char *name;
    unsigned major, minor;
  } nodes[] = { { "null", 1, 3 },   { "zero", 1, 5 },    { "full", 1, 7 },
                { "random", 1, 8 }, { "urandom", 1, 9 }, { "tty", 5, 0 } };
  static const char *const links[][2] = { { "/proc/self/fd", "fd" },
                                          { "/proc/self/fd/0", "stdin" },
                                          { "/proc/self/fd/1", "stdout" },
                                          { "/proc/self/fd/2", "stderr" },
                                          { "pts/ptmx", "ptmx" } };
  static const char *const dirs[] = { "pts", "shm", "mqueue" };
  char text[16];
  (void)snprintf(text, sizeof text, "%u", owner);
  int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
  must(fs, "/dev");
  option(fs, "mode", "755");
  option(fs, "size", "65536");
  option(fs, "uid", text);
  option(fs, "gid", text);
  must(fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0), "/dev");
  int dev = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
  must(dev, "/dev");
  (void)close(fs);
  for (unsigned i = 0; i < sizeof nodes / sizeof *nodes; i++) {
    must(mknodat(dev, nodes[i].name, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)), nodes[i].name);
    must(fchownat(dev, nodes[i].name, owner, owner, AT_SYMLINK_NOFOLLOW), nodes[i].name);
  }
  for (unsigned i = 0; i < sizeof links / sizeof *links; i++)
    must(symlinkat(links[i][0], dev, links[i][1]), links[i][1]);
  for (unsigned i = 0; i < sizeof dirs / sizeof *dirs; i++) {
    must(mkdirat(dev, dirs[i], 0755), dirs[i]);
    must(fchownat(dev, dirs[i], owner, owner, AT_SYMLINK_NOFOLLOW), dirs[i]);
  }
  return dev;
}

static int group_fd(const struct floor *floor, const struct container *container)
{
  for (unsigned i = 0; i < floor->hierarchy_count; i++)
    if (floor->hierarchies[i].version == 2)
      return container->cgroups[i];
  return -1;
}

/* Without any isolation: what the program itself costs. */
static void plain_start(const struct floor *floor, struct container *container)
{
  char path[4096];
  (void)snprintf(path, sizeof path, "%s%s", floor->layer, floor->argv[0]);
  container->pid = vfork();
  if (container->pid == 0) {
    (void)execve(path, floor->argv, (char *[]){ NULL });
    _exit(127);
  }
  must(container->pid, "vfork");
}

static void hand_over(int socket, int root, int dev)
{
  int fds[2] = { root, dev };
  const unsigned size = (dev < 0 ? 1 : 2) * sizeof(int);
  char byte = 0;
  union {
    char bytes[CMSG_SPACE(sizeof fds)];
    struct cmsghdr align;
  } control = { .bytes = { 0 } };
  struct iovec part = { .iov_base = &byte, .iov_len = 1 };
  struct msghdr message = {
    .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = CMSG_SPACE(size)
  };
  struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(size);
  memcpy(CMSG_DATA(rights), fds, size);
  must(sendmsg(socket, &message, MSG_NOSIGNAL), "hand over the mounts");
}

void container_start(const struct floor *floor, struct container *container)
{
  const unsigned variant = container->variant;
  container->begin_us = now_us();
  container->pidfd = -1;
  for (unsigned i = 0; i < MAX_HIERARCHIES; i++)
    container->cgroups[i] = container->tasks[i] = -1;
  if ((variant & WITHOUT_ALL) != 0) {
    plain_start(floor, container);
    return;
  }
  if ((variant & WITHOUT_CGROUPS) == 0)
    make_cgroups(floor, container);
  int pair[2];
  must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), "socketpair");
  struct clone_args args = { .flags = CLONE_PIDFD | CLONE_NEWPID | CLONE_NEWNS,
                             .pidfd = (uint64_t)(uintptr_t)&container->pidfd,
                             .exit_signal = SIGCHLD };
  if ((variant & WITHOUT_USER) == 0)
    args.flags |= CLONE_NEWUSER;
  int group = group_fd(floor, container);
  if (group >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = (unsigned)group;
  }
  long pid = syscall(SYS_clone3, &args, sizeof args);
  must(pid, "clone3");
  if (pid == 0)
    inside(floor, container, pair[1]);
  container->pid = (pid_t)pid;
  (void)close(pair[1]);
  /* Meanwhile the child makes its network namespace. */
  const bool user = (variant & WITHOUT_USER) == 0;
  uint32_t owner = user ? floor->id_base + (container->serial % 1000) * ID_COUNT : 0;
  int userns = user ? map_ids(container->pid, owner) : -1;
  int root = layer_tree(floor, userns);
  if ((variant & WITHOUT_OVERLAY) == 0) {
    int lower = root;
    root = overlay(floor, container, lower, owner);
    (void)close(lower);
  }
  int dev = (variant & WITHOUT_MOUNTS) != 0 ? -1 : devices(owner);
  hand_over(pair[0], root, dev);
  (void)close(pair[0]);
  if (userns >= 0)
    (void)close(userns);
  (void)close(root);
  if (dev >= 0)
    (void)close(dev);
}

int container_wait(struct container *container)
{
  int status;
  must(waitpid(container->pid, &status, 0), "waitpid");
  return status;
}

void container_remove(const struct floor *floor, struct container *container)
{
  char path[4096];
  for (unsigned i = 0; i < floor->hierarchy_count; i++) {
    if (container->cgroups[i] < 0)
      continue;
    (void)close(container->cgroups[i]);
    if (container->tasks[i] >= 0)
      (void)close(container->tasks[i]);
    cgroup_path(floor, container, i, path, sizeof path);
    while (rmdir(path) < 0 && errno == EBUSY)
      (void)usleep(500);
  }
  if (container->pidfd >= 0)
    (void)close(container->pidfd);
  if ((container->variant & (WITHOUT_OVERLAY | WITHOUT_ALL)) != 0)
    return;
  /* What overlayfs leaves of an upper directory that nobody wrote to. */
  static const char *const left[] = { "upper", "work/work/incompat/volatile/dirty", "work/work/incompat/volatile",
                                      "work/work/incompat", "work/work", "work", "" };
  for (unsigned i = 0; i < sizeof left / sizeof *left; i++) {
    (void)snprintf(path, sizeof path, "f%u/%s", container->serial, left[i]);
    must(unlinkat(floor->state, path, strstr(path, "dirty") == NULL ? AT_REMOVEDIR : 0), path);
  }
}
