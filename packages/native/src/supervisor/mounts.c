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
#include <sys/stat.h>
#include <sys/syscall.h>

#include "fd.h"
#include "fs.h"
#include "join.h"
#include "libc.h"
#include "mask.h"
#include "old_root.h"
#include "prepared.h"
#include "spec_check.h"

/* All containers together have 3,072, unless the host says otherwise (kernel.pty.max, less its reserve). */
#define MOST_TERMINALS "256"

/* A top directory of the image for a kernel file system. A symbolic link there is refused, not followed. */
static int kernel_target(int root, const char *name, const char *stage, struct err *err)
{
  int target = fd_open_plain(root, name, O_PATH | O_DIRECTORY);
  if (target < 0 && errno == ENOENT) {
    if (mkdirat(root, name, 0755) < 0 && errno != EEXIST)
      return err_sys(err, stage, "mkdir /%s", name);
    target = fd_open_plain(root, name, O_PATH | O_DIRECTORY);
  }
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

/* Mounts below /dev and /sys come when those exist. */
static bool is_late(const char *path)
{
  return check_is_below(path, "/dev") || check_is_below(path, "/sys");
}

static bool has_mount_on(const struct spec *spec, const char *target)
{
  for (uint32_t i = 0; i < spec->header->mounts.count; i++)
    if (check_is_same(spec_text(spec, spec_mount(spec, i)->target), target))
      return true;
  return false;
}

/* As wide as the memory limit, against which its content counts, unless asked. */
static int new_tmpfs(const struct spec *spec, const struct berth_mount *mount, unsigned attributes, struct err *err)
{
  char size[32], inodes[16], mode[8];
  (void)snprintf(size, sizeof size, "%" PRIu64, mount->size != 0 ? mount->size : spec->header->shm_bytes);
  (void)snprintf(inodes, sizeof inodes, "%u", mount->inodes);
  (void)snprintf(mode, sizeof mode, "%o", mount->mode);
  const struct fs_option options[] = {
    { "size", size }, { "mode", mode }, { mount->inodes == 0 ? NULL : "nr_inodes", inodes }, { NULL, NULL }
  };
  return fs_new("tmpfs", options, attributes, "mount.new", err);
}

/* A file system of the container's own, made by its own root. */
static int new_for_mount(const struct spec *spec, const struct berth_mount *mount, struct err *err)
{
  static const char *const types[] = {
    [BERTH_MOUNT_PROC] = "proc",     [BERTH_MOUNT_SYSFS] = "sysfs",    [BERTH_MOUNT_MQUEUE] = "mqueue",
    [BERTH_MOUNT_DEVPTS] = "devpts", [BERTH_MOUNT_CGROUP] = "cgroup2",
  };
  static const struct fs_option pts_options[] = {
    { "ptmxmode", "0666" }, { "mode", "0620" }, { "max", MOST_TERMINALS }, { NULL, NULL }
  };
  unsigned attributes = MOUNT_ATTR_NOSUID;
  /* devpts serves nothing but device nodes; what a program keeps in its own memory it may execute, unless asked. */
  if (mount->kind != BERTH_MOUNT_DEVPTS)
    attributes |= MOUNT_ATTR_NODEV;
  if (mount->kind != BERTH_MOUNT_TMPFS || (mount->flags & BERTH_MOUNT_NOEXEC) != 0)
    attributes |= MOUNT_ATTR_NOEXEC;
  if (mount->kind == BERTH_MOUNT_SYSFS || (mount->flags & BERTH_MOUNT_READ_ONLY) != 0)
    attributes |= MOUNT_ATTR_RDONLY;
  if (mount->kind == BERTH_MOUNT_TMPFS || mount->kind == BERTH_MOUNT_SHM)
    return new_tmpfs(spec, mount, attributes, err);
  return fs_new(types[mount->kind], mount->kind == BERTH_MOUNT_DEVPTS ? pts_options : NULL, attributes, "mount.new",
                err);
}

static int mask_kind(const struct berth_mount *mount, int mounted, struct mask *mask, struct err *err)
{
  if (mount->kind == BERTH_MOUNT_PROC)
    return mask_proc(mask, mounted, err);
  return mount->kind == BERTH_MOUNT_SYSFS ? mask_sys(mask, mounted, err) : 0;
}

/* `mask` may be NULL: then it is done later. */
static int mount_one(const struct spec *spec, const struct berth_mount *mount, int source, int root, struct mask *mask,
                     struct err *err)
{
  const char *stage = mount->kind == BERTH_MOUNT_BIND ? "mount.bind" : "mount.new";
  const char *path = spec_text(spec, mount->target);
  cleanup_close int made = source >= 0 ? -1 : new_for_mount(spec, mount, err);
  int mounted = source >= 0 ? source : made;
  struct stat info;
  if (mounted < 0) {
    err_about(err, path);
    return -1;
  }
  if (fstat(mounted, &info) < 0)
    return err_sys(err, stage, "fstat source of %.150s", path);
  cleanup_close int target = bind_target(root, path, S_ISDIR(info.st_mode));
  if (target < 0)
    return err_sys(err, stage, "target %.180s", path);
  if (fs_place(mounted, target, stage, path, err) < 0)
    return -1;
  return mask == NULL ? 0 : mask_kind(mount, mounted, mask, err);
}

static int mount_all(const struct spec *spec, const struct rootfs *rootfs, int root, bool late, struct mask *mask,
                     struct err *err)
{
  unsigned binds = 0;
  for (uint32_t i = 0; i < spec->header->mounts.count; i++) {
    const struct berth_mount *mount = spec_mount(spec, i);
    int source = mount->kind == BERTH_MOUNT_BIND ? rootfs->fds[ROOTFS_BINDS + binds++] : -1;
    if (is_late(spec_text(spec, mount->target)) == late && mount_one(spec, mount, source, root, mask, err) < 0)
      return -1;
  }
  return 0;
}

/* Before Linux 6.15 only what is attached can be cloned, and /dev/null covers files: so this waits for /dev. */
static int mask_early(const struct spec *spec, int root, struct mask *mask, struct err *err)
{
  for (uint32_t i = 0; i < spec->header->mounts.count; i++) {
    const struct berth_mount *mount = spec_mount(spec, i);
    const char *path = spec_text(spec, mount->target);
    if (is_late(path) || (mount->kind != BERTH_MOUNT_PROC && mount->kind != BERTH_MOUNT_SYSFS))
      continue;
    cleanup_close int mounted = fd_open_in_root(root, path, O_PATH | O_DIRECTORY);
    if (mounted < 0)
      return err_sys(err, "mount.mask", "%.180s", path);
    if (mask_kind(mount, mounted, mask, err) < 0)
      return -1;
  }
  return 0;
}

static int mounts_below_dev(const struct spec *spec, int dev, struct err *err)
{
  static const char stage[] = "mount.dev";
  static const struct fs_option pts_options[] = {
    { "ptmxmode", "0666" }, { "mode", "0620" }, { "gid", "5" }, { "max", MOST_TERMINALS }, { NULL, NULL }
  };
  char size[32];
  (void)snprintf(size, sizeof size, "%" PRIu64, spec->header->shm_bytes);
  const struct fs_option shm_options[] = { { "mode", "1777" }, { "size", size }, { NULL, NULL } };
  const struct {
    const char *name;
    const char *type;
    const struct fs_option *options;
    unsigned attributes;
  } children[] = {
    { "pts", "devpts", pts_options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC },
    { "shm", "tmpfs", shm_options, FS_KERNEL },
    { "mqueue", "mqueue", NULL, FS_KERNEL },
  };
  /* Message queues were mounted with their namespace, unless that is made now or somebody else's. */
  bool early = prepared.kinds != 0;
  bool other = has_mount_on(spec, "/dev/mqueue");
  if (early && other && umount2("/dev/mqueue", MNT_DETACH) < 0)
    return err_sys(err, stage, "make room on /dev/mqueue");
  const bool given[] = { false, has_mount_on(spec, "/dev/shm"), early || other };
  for (unsigned i = 0; i < sizeof children / sizeof *children; i++) {
    if (given[i])
      continue;
    bool made = join_mounts.mqueue >= 0 && strcmp(children[i].name, "mqueue") == 0;
    cleanup_close int mounted = made ? fd_take(&join_mounts.mqueue)
                                     : fs_new(children[i].type, children[i].options, children[i].attributes, stage, err);
    if (mounted < 0)
      return -1;
    if (move_mount(mounted, "", dev, children[i].name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
      return err_sys(err, stage, "mount on /dev/%s", children[i].name);
  }
  return 0;
}

int mounts_ahead(const struct spec *spec, struct err *err)
{
  if (mounts_below_dev(spec, prepared.dev, err) < 0)
    return -1;
  prepared.proc = fs_new("proc", NULL, FS_KERNEL, "mount.proc", err);
  if (prepared.proc < 0)
    return -1;
  /* The host's, below it, stays until this place is left: the kernel gives a further one only to who sees one unmasked. */
  if (move_mount(prepared.proc, "", AT_FDCWD, "/proc", MOVE_MOUNT_F_EMPTY_PATH) < 0)
    return err_sys(err, "mount.proc", "mount beside the host's");
  cleanup_close int null = openat(prepared.dev, "null", O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (null < 0)
    return err_sys(err, "mount.mask", "/dev/null");
  struct mask mask = { .null = null, .empty = -1 };
  int failed = mask_proc(&mask, prepared.proc, err);
  mask_close(&mask);
  return failed;
}

static int mount_dev(const struct spec *spec, const struct rootfs *rootfs, int root, struct err *err)
{
  static const char stage[] = "mount.dev";
  int dev = rootfs->fds[ROOTFS_DEV];
  cleanup_close int target = kernel_target(root, "dev", stage, err);
  if (target < 0 || fs_place(dev, target, stage, "/dev", err) < 0)
    return -1;
  return prepared.kinds != 0 ? 0 : mounts_below_dev(spec, dev, err);
}

static int mount_proc_and_sys(const struct spec *spec, int root, struct mask *mask, struct err *err)
{
  bool masked = prepared.kinds != 0;
  cleanup_close int proc = masked ? fd_take(&prepared.proc) : fs_new("proc", NULL, FS_KERNEL, "mount.proc", err);
  if (proc < 0)
    return -1;
  cleanup_close int proc_target = kernel_target(root, "proc", "mount.proc", err);
  if (proc_target < 0 || fs_place(proc, proc_target, "mount.proc", "/proc", err) < 0)
    return -1;
  cleanup_close int sys = masked                  ? fd_take(&prepared.sys)
                          : join_mounts.sysfs >= 0 ? fd_take(&join_mounts.sysfs)
                                                   : fs_new("sysfs", NULL, FS_KERNEL | MOUNT_ATTR_RDONLY, "mount.sys", err);
  if (sys < 0)
    return -1;
  cleanup_close int sys_target = kernel_target(root, "sys", "mount.sys", err);
  if (sys_target < 0 || fs_place(sys, sys_target, "mount.sys", "/sys", err) < 0)
    return -1;
  if (!masked && (mask_proc(mask, proc, err) < 0 || mask_sys(mask, sys, err) < 0))
    return -1;

  /* Its init keeps a tree of its own there, below the limits that it cannot write. */
  if (spec_is_machine(spec)) {
    cleanup_close int own = fs_new("cgroup2", NULL, FS_KERNEL, "mount.cgroup", err);
    if (own < 0)
      return -1;
    if (move_mount(own, "", sys, "fs/cgroup", MOVE_MOUNT_F_EMPTY_PATH) < 0)
      return err_sys(err, "mount.cgroup", "/sys/fs/cgroup");
    return 0;
  }
  /* On a pure v2 host programs size themselves by the files of their own cgroup. Absent is as safe as read-only. */
  if (spec->header->hierarchies.count == 1 && spec_hierarchy(spec, 0)->version == 2 &&
      !has_mount_on(spec, "/sys/fs/cgroup")) {
    struct err ignored;
    cleanup_close int cgroup = fs_new("cgroup2", NULL, FS_KERNEL | MOUNT_ATTR_RDONLY, "mount.cgroup", &ignored);
    if (cgroup >= 0)
      (void)move_mount(cgroup, "", sys, "fs/cgroup", MOVE_MOUNT_F_EMPTY_PATH);
  }
  return 0;
}

/* What the spec hides and protects beside what always is. */
static int hide(const struct spec *spec, int root, struct mask *mask, struct err *err)
{
  const struct berth_security *security = spec_section(spec, BERTH_SECTION_SECURITY);
  for (uint32_t i = 0; security != NULL && i < security->masked.count; i++)
    if (mask_path(mask, root, spec_string(spec, security->masked, i), err) < 0)
      return -1;
  for (uint32_t i = 0; security != NULL && i < security->read_only.count; i++)
    if (mask_read_only(root, spec_string(spec, security->read_only, i), err) < 0)
      return -1;
  return 0;
}

/* All mounts on top of the attached root, in the order of the comment above. */
static int mount_tree(const struct spec *spec, const struct rootfs *rootfs, int root, struct err *err)
{
  int dev = rootfs->fds[ROOTFS_DEV];
  cleanup_close int null = openat(dev, "null", O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (null < 0)
    return err_sys(err, "mount.mask", "/dev/null");
  struct mask mask = { .null = null, .empty = -1 };
  int failed = mount_all(spec, rootfs, root, false, NULL, err);
  if (failed == 0)
    failed = mount_dev(spec, rootfs, root, err);
  if (failed == 0)
    failed = mask_early(spec, root, &mask, err);
  if (failed == 0)
    failed = mount_proc_and_sys(spec, root, &mask, err);
  if (failed == 0)
    failed = mount_all(spec, rootfs, root, true, &mask, err);
  if (failed == 0)
    failed = hide(spec, root, &mask, err);
  mask_close(&mask);
  return failed;
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
  if (mount_tree(spec, rootfs, root, err) < 0)
    return -1;
  if (old_root_stays(spec))
    return old_root_cover(root, err);
  if (old_root_detach(spec, rootfs, old, err) < 0)
    return -1;
  if (chdir("/") < 0)
    return err_sys(err, stage, "chdir /");
  return 0;
}

int mounts_finish(const struct spec *spec, const struct rootfs *rootfs, struct err *err)
{
  if ((spec->header->flags & BERTH_SPEC_READ_ONLY_ROOT) == 0)
    return 0;
  struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
  if (mount_setattr(rootfs->fds[ROOTFS_ROOT], "", AT_EMPTY_PATH, &attr, sizeof attr) < 0)
    return err_sys(err, "mount.root", "read-only");
  return 0;
}
