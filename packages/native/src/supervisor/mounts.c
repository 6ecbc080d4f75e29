/*
 * Order matters. Mounts become private first, so that nothing propagates to the host (mount_namespaces(7)). User binds
 * come before /proc, /dev and /sys: a symbolic link in an image cannot lead one of them over a kernel file system,
 * because there is none yet. Every target is resolved by openat2(2) inside the root and mounted on by descriptor: no
 * path is looked up twice.
 */
#include "mounts.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "fd.h"

#define FLAGS_KERNEL (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

struct fs_option {
  const char *key;
  const char *value;
};

/* A new detached file system; -1 with `err`. */
static int fs_new(const char *type, const struct fs_option *options, unsigned attributes, const char *stage,
                  struct err *err)
{
  cleanup_close int fs = fsopen(type, FSOPEN_CLOEXEC);
  if (fs < 0)
    return err_sys(err, stage, "fsopen %s", type);
  for (; options != NULL && options->key != NULL; options++)
    if (fsconfig(fs, FSCONFIG_SET_STRING, options->key, options->value, 0) < 0)
      return err_sys(err, stage, "%s: %s=%s", type, options->key, options->value);
  if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
    return err_sys(err, stage, "create %s", type);
  int mounted = fsmount(fs, FSMOUNT_CLOEXEC, attributes);
  if (mounted < 0)
    return err_sys(err, stage, "fsmount %s", type);
  return mounted;
}

static int place(int mounted, int target, const char *stage, const char *name, struct err *err)
{
  if (move_mount(mounted, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
    return err_sys(err, stage, "mount on %.150s", name);
  return 0;
}

/* A top directory of the image for a kernel file system. A symbolic link there is refused, not followed. */
static int kernel_target(int root, const char *name, const char *stage, struct err *err)
{
  if (mkdirat(root, name, 0755) < 0 && errno != EEXIST)
    return err_sys(err, stage, "mkdir /%s", name);
  int target = fd_open_plain(root, name, O_PATH | O_DIRECTORY);
  if (target < 0)
    return err_sys(err, stage, "/%s in the image", name);
  return target;
}

static int bind_target(int root, const char *path, bool directory)
{
  int target = fd_open_in_root(root, path, O_PATH);
  if (target >= 0 || errno != ENOENT)
    return target;
  if (directory)
    return fd_make_dirs(root, path);

  char parent_path[BERTH_MAX_PATH + 1];
  (void)snprintf(parent_path, sizeof parent_path, "%s", path);
  char *slash = strrchr(parent_path, '/');
  const char *name = path + (slash - parent_path) + 1;
  *slash = '\0';
  cleanup_close int parent = fd_make_dirs(root, parent_path[0] == '\0' ? "/" : parent_path);
  if (parent < 0)
    return -1;
  cleanup_close int file = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (file < 0)
    return -1;
  return openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

static int mount_binds(const struct spec *spec, const struct rootfs *rootfs, int root, struct err *err)
{
  for (uint32_t i = 0; i < spec->header->mounts.count; i++) {
    const char *path = spec_text(spec, spec_mount(spec, i)->target);
    int source = rootfs->fds[ROOTFS_BINDS + i];
    struct stat info;
    if (fstat(source, &info) < 0)
      return err_sys(err, "mount.bind", "fstat source of %.150s", path);
    cleanup_close int target = bind_target(root, path, S_ISDIR(info.st_mode));
    if (target < 0)
      return err_sys(err, "mount.bind", "target %.180s", path);
    if (place(source, target, "mount.bind", path, err) < 0)
      return -1;
  }
  return 0;
}

static int mount_dev(const struct spec *spec, const struct rootfs *rootfs, int root, struct err *err)
{
  static const char stage[] = "mount.dev";
  static const struct fs_option pts_options[] = {
    { "ptmxmode", "0666" }, { "mode", "0620" }, { "gid", "5" }, { NULL, NULL }
  };
  char size[32];
  (void)snprintf(size, sizeof size, "%" PRIu64, spec->header->shm_bytes);
  const struct fs_option shm_options[] = { { "mode", "1777" }, { "size", size }, { NULL, NULL } };
  int dev = rootfs->fds[ROOTFS_DEV];
  cleanup_close int target = kernel_target(root, "dev", stage, err);
  if (target < 0 || place(dev, target, stage, "/dev", err) < 0)
    return -1;

  const struct {
    const char *name;
    const char *type;
    const struct fs_option *options;
    unsigned attributes;
  } children[] = {
    { "pts", "devpts", pts_options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC },
    { "shm", "tmpfs", shm_options, FLAGS_KERNEL },
    { "mqueue", "mqueue", NULL, FLAGS_KERNEL },
  };
  for (unsigned i = 0; i < sizeof children / sizeof *children; i++) {
    cleanup_close int mounted = fs_new(children[i].type, children[i].options, children[i].attributes, stage, err);
    if (mounted < 0)
      return -1;
    if (move_mount(mounted, "", dev, children[i].name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
      return err_sys(err, stage, "mount on /dev/%s", children[i].name);
  }
  return 0;
}

/* Hides a file behind the null device, a directory behind an empty read-only one. What does not exist needs no mask. */
static int mask(int top, const char *name, int null, int *empty, struct err *err)
{
  static const char stage[] = "mount.mask";
  cleanup_close int target = openat(top, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (target < 0)
    return errno == ENOENT ? 0 : err_sys(err, stage, "%s", name);
  struct stat info;
  if (fstat(target, &info) < 0)
    return err_sys(err, stage, "fstat %s", name);
  cleanup_close int cover = -1;
  if (!S_ISDIR(info.st_mode))
    cover = open_tree(null, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
  else if (*empty >= 0)
    cover = open_tree(*empty, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
  else {
    static const struct fs_option options[] = { { "mode", "555" }, { "size", "4096" }, { NULL, NULL } };
    *empty = fs_new("tmpfs", options, FLAGS_KERNEL | MOUNT_ATTR_RDONLY, stage, err);
    return *empty < 0 ? -1 : place(*empty, target, stage, name, err);
  }
  if (cover < 0)
    return err_sys(err, stage, "cover for %s", name);
  return place(cover, target, stage, name, err);
}

static int make_read_only(int top, const char *name, struct err *err)
{
  static const char stage[] = "mount.readonly";
  cleanup_close int tree = open_tree(top, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE |
                                                    AT_SYMLINK_NOFOLLOW);
  if (tree < 0)
    return errno == ENOENT ? 0 : err_sys(err, stage, "%s", name);
  struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
  if (mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) < 0)
    return err_sys(err, stage, "%s", name);
  if (move_mount(tree, "", top, name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
    return err_sys(err, stage, "mount on %s", name);
  return 0;
}

static int mount_proc_and_sys(const struct spec *spec, int root, int dev, struct err *err)
{
  /* Each of these has leaked a key, an address or the time of another's keystrokes to a container once. */
  static const char *const masked_proc[] = { "kcore",         "keys",       "timer_list", "sched_debug",
                                             "latency_stats", "interrupts", "acpi",       "scsi",
                                             "asound",        "timer_stats" };
  static const char *const masked_sys[] = { "firmware", "devices/virtual/powercap", "kernel/boot_params",
                                            "kernel/vmcoreinfo" };
  /* A write to `pressure` asks the host's kernel for a timer of its own. */
  static const char *const read_only[] = { "bus", "fs", "irq", "pressure", "sys", "sysrq-trigger" };

  cleanup_close int proc = fs_new("proc", NULL, FLAGS_KERNEL, "mount.proc", err);
  if (proc < 0)
    return -1;
  cleanup_close int proc_target = kernel_target(root, "proc", "mount.proc", err);
  if (proc_target < 0 || place(proc, proc_target, "mount.proc", "/proc", err) < 0)
    return -1;
  cleanup_close int sys = fs_new("sysfs", NULL, FLAGS_KERNEL | MOUNT_ATTR_RDONLY, "mount.sys", err);
  if (sys < 0)
    return -1;
  cleanup_close int sys_target = kernel_target(root, "sys", "mount.sys", err);
  if (sys_target < 0 || place(sys, sys_target, "mount.sys", "/sys", err) < 0)
    return -1;

  cleanup_close int null = openat(dev, "null", O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (null < 0)
    return err_sys(err, "mount.mask", "/dev/null");
  cleanup_close int empty = -1;
  for (unsigned i = 0; i < sizeof masked_proc / sizeof *masked_proc; i++)
    if (mask(proc, masked_proc[i], null, &empty, err) < 0)
      return -1;
  for (unsigned i = 0; i < sizeof masked_sys / sizeof *masked_sys; i++)
    if (mask(sys, masked_sys[i], null, &empty, err) < 0)
      return -1;
  for (unsigned i = 0; i < sizeof read_only / sizeof *read_only; i++)
    if (make_read_only(proc, read_only[i], err) < 0)
      return -1;

  /* On a pure v2 host programs size themselves by the files of their own cgroup. Absent is as safe as read-only. */
  if (spec->header->hierarchies.count == 1 && spec_hierarchy(spec, 0)->version == 2) {
    struct err ignored;
    cleanup_close int cgroup = fs_new("cgroup2", NULL, FLAGS_KERNEL | MOUNT_ATTR_RDONLY, "mount.cgroup", &ignored);
    if (cgroup >= 0)
      (void)move_mount(cgroup, "", sys, "fs/cgroup", MOVE_MOUNT_F_EMPTY_PATH);
  }
  return 0;
}

int mounts_enter(const struct spec *spec, const struct rootfs *rootfs, struct err *err)
{
  static const char stage[] = "mount.root";
  int root = rootfs->fds[ROOTFS_ROOT];
  cleanup_close int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (old < 0)
    return err_sys(err, stage, "open /");
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
    return err_sys(err, stage, "make / private");
  if (move_mount(root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0)
    return err_sys(err, stage, "attach the root");
  if (mount_binds(spec, rootfs, root, err) < 0 || mount_dev(spec, rootfs, root, err) < 0 ||
      mount_proc_and_sys(spec, root, rootfs->fds[ROOTFS_DEV], err) < 0)
    return -1;
  /* pivot_root(2), NOTES: with "." twice the old root is stacked on the new one and can be detached from there. */
  if (fchdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
    return err_sys(err, stage, "pivot_root");
  if (fchdir(old) < 0 || umount2(".", MNT_DETACH) < 0)
    return err_sys(err, stage, "detach the host's root");
  if (chdir("/") < 0)
    return err_sys(err, stage, "chdir /");
  return 0;
}
