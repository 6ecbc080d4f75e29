/*
 * Overlay of id-mapped read-only layers, /dev with real device nodes, and the bind mounts. All of them are detached
 * mounts made by the host's root: the container's own root could make none of them, and nothing appears in the host's
 * mount table. Ids are mapped by the mount (mount_setattr(2), MOUNT_ATTR_IDMAP), so one copy of a layer on disk serves
 * every container, and the container's root sees files of the host's root as its own.
 */
#include "rootfs.h"

#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "device.h"
#include "fd.h"
#include "libc.h"
#include "prepared.h"
#include "quota.h"

#define STAGE_LAYER "rootfs.layer"
#define STAGE_OVERLAY "rootfs.overlay"
#define STAGE_DEV "rootfs.dev"
#define STAGE_BIND "mount.bind"

static int upper_create(const struct spec *spec, int state_dir, struct err *err)
{
  uid_t owner = spec->header->id_base;
  const char *const names[] = { "upper", "work" };
  for (unsigned i = 0; i < 2; i++) {
    if (mkdirat(state_dir, names[i], 0755) < 0 && errno != EEXIST)
      return err_sys(err, STAGE_OVERLAY, "mkdir %s", names[i]);
    if (fchownat(state_dir, names[i], owner, owner, AT_SYMLINK_NOFOLLOW) < 0)
      return err_sys(err, STAGE_OVERLAY, "chown %s", names[i]);
  }
  if (spec->header->disk_mib == 0)
    return 0;
  /* Overlayfs moves files from one to the other, which does not go between projects. */
  cleanup_close int upper = openat(state_dir, "upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  cleanup_close int work = openat(state_dir, "work", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (upper < 0 || work < 0)
    return err_sys(err, STAGE_OVERLAY, "open upper and work");
  return quota_limit((const int[]){ upper, work }, 2, (uint64_t)spec->header->disk_mib << 20, err);
}

/* `userns` -1: ids stay what they are. */
static int idmapped_clone(const char *stage, const char *path, unsigned tree_flags, uint64_t attributes,
                          uint64_t propagation, int userns, struct err *err)
{
  /* A directory that another container may write could hold a link to anywhere by the time it is looked up. */
  cleanup_close int place = fd_open_no_links(path, O_PATH);
  if (place < 0 && errno == ELOOP)
    return err_set(err, ELOOP, stage, "%.160s: a symbolic link is not followed, name the real path", path);
  if (place < 0)
    return err_sys(err, stage, "%.200s", path);
  cleanup_close int tree = open_tree(place, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | tree_flags);
  if (tree < 0)
    return err_sys(err, stage, "%.200s", path);
  struct mount_attr attr = {
    .attr_set = (userns < 0 ? 0 : MOUNT_ATTR_IDMAP) | attributes,
    .propagation = propagation,
    .userns_fd = userns < 0 ? 0 : (unsigned)userns,
  };
  if (mount_setattr(tree, "", AT_EMPTY_PATH | (tree_flags & AT_RECURSIVE), &attr, sizeof attr) < 0) {
    if (errno == EINVAL)
      return err_set(err, EINVAL, stage, "%.120s: its file system cannot map ids on this kernel", path);
    return err_sys(err, stage, "map ids of %.180s", path);
  }
  return fd_take(&tree);
}

/* The context's own log says more than EINVAL, for example that the state directory lies on another overlay. */
static int overlay_refused(int fs, const char *about, struct err *err)
{
  char reason[160] = "";
  int saved = errno;
  ssize_t length = read(fs, reason, sizeof reason - 1);
  reason[length > 0 ? strcspn(reason, "\n") : 0] = '\0';
  errno = saved;
  return err_sys(err, STAGE_OVERLAY, "%.40s: %.150s", about, reason);
}

static int option(int fs, const char *key, const char *value, struct err *err)
{
  return fsconfig(fs, FSCONFIG_SET_STRING, key, value, 0) < 0 ? overlay_refused(fs, key, err) : 0;
}

/* One by one: Linux 6.7 and newer. */
static int lower_each(int fs, const int *layers, unsigned count, struct err *err)
{
  char path[64];
  for (unsigned i = 0; i < count; i++) {
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", layers[i]);
    if (fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir+", path, 0) < 0)
      return err_sys(err, STAGE_OVERLAY, "layer %u of %u", i + 1, count);
  }
  return 0;
}

/* As a list, which may have 255 bytes: short names relative to /proc/self/fd make room for every layer a spec may have.
   Before Linux 6.5 an unknown option is only noticed at the mount, so "lowerdir+" cannot be tried first. */
static int lower_list(int fs, const int *layers, unsigned count, struct err *err)
{
  char list[256] = "";
  size_t length = 0;
  for (unsigned i = 0; i < count; i++) {
    int more = snprintf(list + length, sizeof list - length, "%s%d", i == 0 ? "" : ":", layers[i]);
    if (more < 0 || (size_t)more >= sizeof list - length)
      return err_set(err, E2BIG, STAGE_OVERLAY, "%u layers are too many for this kernel", count);
    length += (size_t)more;
  }
  if (chdir("/proc/self/fd") < 0)
    return err_sys(err, STAGE_OVERLAY, "chdir /proc/self/fd");
  return option(fs, "lowerdir", list, err);
}

/*
 * Layers are given as descriptors through /proc: no path is looked up twice. The upper directory, too, although Linux 6.15
 * takes it as a descriptor: the container's mountinfo would then show where on the host it is. -1 with `err`.
 */
static int overlay_mount(const int *layers, unsigned count, bool as_list, int state_dir, struct err *err)
{
  char path[64];
  cleanup_close int fs = fsopen("overlay", FSOPEN_CLOEXEC);
  if (fs < 0)
    return err_sys(err, STAGE_OVERLAY, "fsopen overlay");
  if (option(fs, "source", "overlay", err) < 0)
    return -1;
  if ((as_list ? lower_list(fs, layers, count, err) : lower_each(fs, layers, count, err)) < 0)
    return -1;
  (void)snprintf(path, sizeof path, "/proc/self/fd/%d/upper", state_dir);
  if (option(fs, "upperdir", path, err) < 0)
    return -1;
  (void)snprintf(path, sizeof path, "/proc/self/fd/%d/work", state_dir);
  if (option(fs, "workdir", path, err) < 0)
    return -1;
  /* Both would let what a container writes steer later lookups in the layers (overlayfs.rst). */
  if (option(fs, "redirect_dir", "nofollow", err) < 0 || option(fs, "metacopy", "off", err) < 0)
    return -1;
  /* The upper directory dies with the container: waiting for the disk on its behalf serves nobody. */
  if (fsconfig(fs, FSCONFIG_SET_FLAG, "volatile", NULL, 0) < 0)
    return err_sys(err, STAGE_OVERLAY, "volatile");
  if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
    return overlay_refused(fs, "mount", err);
  int mounted = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV);
  if (mounted < 0)
    return err_sys(err, STAGE_OVERLAY, "fsmount");
  return mounted;
}

/* The same directory by its path, as the current mount namespace sees it. */
static int reopen_by_path(int dir, struct err *err)
{
  char link[32], path[4096];
  (void)snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0)
    return err_sys(err, STAGE_OVERLAY, "path of the state directory");
  path[length] = '\0';
  cleanup_close int again = RETRY_INTR(open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat want, have;
  if (again < 0 || fstat(dir, &want) < 0 || fstat(again, &have) < 0)
    return err_sys(err, STAGE_OVERLAY, "open %.200s", path);
  if (want.st_dev != have.st_dev || want.st_ino != have.st_ino)
    return err_set(err, ESTALE, STAGE_OVERLAY, "%.200s is another directory", path);
  return fd_take(&again);
}

/*
 * Kernels before 6.15 take only layers that are attached in the caller's mount namespace. So: a mount namespace of our
 * own for a moment, the layers attached one over the other, the overlay made and detached again, and back. What was
 * attached goes with the namespace; the overlay keeps its own references. Mounting over "/" hides nothing from a
 * process whose root lies below, so /proc/self/fd still works.
 */
static int overlay_mount_attached(const int *layers, unsigned count, int state_dir, struct err *err)
{
  cleanup_close int home = RETRY_INTR(open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
  cleanup_close int cwd = RETRY_INTR(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (home < 0 || cwd < 0)
    return err_sys(err, STAGE_OVERLAY, "open the mount namespace");
  if (unshare(CLONE_NEWNS) < 0)
    return err_sys(err, STAGE_OVERLAY, "unshare the mount namespace");
  int mounted = -1;
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
    (void)err_sys(err, STAGE_OVERLAY, "make / private");
  else {
    unsigned attached = 0;
    while (attached < count && move_mount(layers[attached], "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) == 0)
      attached++;
    if (attached < count)
      (void)err_sys(err, STAGE_OVERLAY, "attach layer %u", attached + 1);
    else {
      /* The upper directory must be reached through this namespace as well. */
      cleanup_close int here = reopen_by_path(state_dir, err);
      if (here >= 0)
        mounted = overlay_mount(layers, count, true, here, err);
    }
  }
  if (setns(home, CLONE_NEWNS) < 0) {
    if (mounted >= 0)
      (void)close(mounted);
    return err_sys(err, STAGE_OVERLAY, "return to the mount namespace");
  }
  if (fchdir(cwd) < 0 && mounted >= 0) {
    (void)close(mounted);
    return err_sys(err, STAGE_OVERLAY, "return to the directory");
  }
  return mounted;
}

static void close_all(const int *fds, unsigned count)
{
  for (unsigned i = 0; i < count; i++)
    (void)close(fds[i]);
}

/* How many, or -1. */
static int layers_prepare(const struct spec *spec, int userns, int *layers, struct err *err)
{
  int mapped_by = (spec->header->flags & BERTH_SPEC_SHIFTED_LAYERS) != 0 ? -1 : userns;
  unsigned count = 0;
  for (; count < spec->header->layers.count; count++) {
    const char *path = spec_string(spec, spec->header->layers, count);
    layers[count] = idmapped_clone(STAGE_LAYER, path, 0, MOUNT_ATTR_RDONLY, MS_PRIVATE, mapped_by, err);
    if (layers[count] < 0) {
      close_all(layers, count);
      return -1;
    }
  }
  return (int)count;
}

static const struct {
  const char *name;
  unsigned minor, major;
} dev_nodes[] = { { "null", 3, 1 },    { "zero", 5, 1 },   { "full", 7, 1 },
                  { "random", 8, 1 },  { "urandom", 9, 1 }, { "tty", 0, 5 } };
static const char *const dev_links[][2] = { { "/proc/self/fd", "fd" },
                                            { "/proc/self/fd/0", "stdin" },
                                            { "/proc/self/fd/1", "stdout" },
                                            { "/proc/self/fd/2", "stderr" },
                                            { "pts/ptmx", "ptmx" } };
static const char *const dev_dirs[] = { "pts", "shm", "mqueue" };

/* A tmpfs of the host's root may hold device nodes that work, which saves a bind mount for each. Six harmless ones. */
int rootfs_make_dev(struct err *err)
{
  cleanup_close int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
  if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "mode", "755", 0) < 0 ||
      fsconfig(fs, FSCONFIG_SET_STRING, "size", "65536", 0) < 0 ||
      fsconfig(fs, FSCONFIG_SET_STRING, "nr_inodes", "1024", 0) < 0 ||
      fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
    return err_sys(err, STAGE_DEV, "tmpfs");
  cleanup_close int dev = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
  if (dev < 0)
    return err_sys(err, STAGE_DEV, "fsmount");
  for (unsigned i = 0; i < sizeof dev_nodes / sizeof *dev_nodes; i++)
    if (mknodat(dev, dev_nodes[i].name, S_IFCHR | 0666, makedev(dev_nodes[i].major, dev_nodes[i].minor)) < 0)
      return err_sys(err, STAGE_DEV, "node %s", dev_nodes[i].name);
  for (unsigned i = 0; i < sizeof dev_links / sizeof *dev_links; i++)
    if (symlinkat(dev_links[i][0], dev, dev_links[i][1]) < 0)
      return err_sys(err, STAGE_DEV, "link %s", dev_links[i][1]);
  for (unsigned i = 0; i < sizeof dev_dirs / sizeof *dev_dirs; i++)
    if (mkdirat(dev, dev_dirs[i], 0755) < 0)
      return err_sys(err, STAGE_DEV, "directory %s", dev_dirs[i]);
  return fd_take(&dev);
}

static int dev_give(int dev, const char *name, uid_t owner, struct err *err)
{
  int given = fchownat(dev, name, owner, owner, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH);
  return given < 0 ? err_sys(err, STAGE_DEV, "owner of /dev/%s", name) : 0;
}

int rootfs_give_places(int dev, uid_t owner, struct err *err)
{
  for (unsigned i = 0; i < sizeof dev_dirs / sizeof *dev_dirs; i++)
    if (dev_give(dev, dev_dirs[i], owner, err) < 0)
      return -1;
  return 0;
}

static int give_rest(int dev, uid_t owner, struct err *err)
{
  int failed = dev_give(dev, "", owner, err);
  for (unsigned i = 0; failed == 0 && i < sizeof dev_nodes / sizeof *dev_nodes; i++)
    failed = dev_give(dev, dev_nodes[i].name, owner, err);
  for (unsigned i = 0; failed == 0 && i < sizeof dev_links / sizeof *dev_links; i++)
    failed = dev_give(dev, dev_links[i][1], owner, err);
  return failed;
}

int rootfs_open_null(const struct rootfs *rootfs, struct err *err)
{
  int null = openat(rootfs->fds[ROOTFS_DEV], "null", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  return null < 0 ? err_sys(err, "stdio", "open /dev/null") : null;
}

static int dev_prepare(const struct spec *spec, struct err *err)
{
  bool given = prepared.dev >= 0;
  /* Init may only be born now, with a copy of all descriptors, and needs that one whatever becomes of these mounts. */
  cleanup_close int dev = given ? fcntl(prepared.dev, F_DUPFD_CLOEXEC, 0) : rootfs_make_dev(err);
  if (dev < 0)
    return given ? err_sys(err, STAGE_DEV, "duplicate") : -1;
  if ((!given && rootfs_give_places(dev, spec->header->id_base, err) < 0) ||
      give_rest(dev, spec->header->id_base, err) < 0 || device_make_nodes(spec, dev, err) < 0)
    return -1;
  return fd_take(&dev);
}

static int bind_prepare(const struct spec *spec, const struct berth_mount *mount, int userns, struct err *err)
{
  uint64_t attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  if ((mount->flags & BERTH_MOUNT_READ_ONLY) != 0)
    attributes |= MOUNT_ATTR_RDONLY;
  if ((mount->flags & BERTH_MOUNT_NOEXEC) != 0)
    attributes |= MOUNT_ATTR_NOEXEC;
  return idmapped_clone(STAGE_BIND, spec_text(spec, mount->source),
                        (mount->flags & BERTH_MOUNT_FLAT) != 0 ? 0 : AT_RECURSIVE, attributes,
                        (mount->flags & BERTH_MOUNT_SLAVE) != 0 ? MS_SLAVE : MS_PRIVATE, userns, err);
}

unsigned rootfs_binds(const struct spec *spec)
{
  unsigned count = 0;
  for (uint32_t i = 0; i < spec->header->mounts.count; i++)
    count += spec_mount(spec, i)->kind == BERTH_MOUNT_BIND;
  return count;
}

/* Those that were attached for the overlay's sake went with the namespace of that moment. */
static bool keeps_layers(const struct spec *spec)
{
  return (spec->header->flags & BERTH_SPEC_ATTACH_LAYERS) == 0;
}

unsigned rootfs_count(const struct spec *spec)
{
  return ROOTFS_BINDS + rootfs_binds(spec) + (keeps_layers(spec) ? spec->header->layers.count : 0);
}

static int prepare_mounts(struct rootfs *rootfs, const struct spec *spec, int userns, struct err *err)
{
  int fd = dev_prepare(spec, err);
  if (fd < 0)
    return -1;
  rootfs->fds[rootfs->count++] = fd;
  for (uint32_t i = 0; i < spec->header->mounts.count; i++) {
    const struct berth_mount *mount = spec_mount(spec, i);
    if (mount->kind != BERTH_MOUNT_BIND)
      continue;
    fd = bind_prepare(spec, mount, userns, err);
    if (fd < 0)
      return -1;
    rootfs->fds[rootfs->count++] = fd;
  }
  return 0;
}

int rootfs_prepare(struct rootfs *rootfs, const struct spec *spec, int state_dir, int userns, struct err *err)
{
  int layers[BERTH_MAX_LAYERS];
  rootfs->count = 0;
  int made = upper_create(spec, state_dir, err) < 0 ? -1 : layers_prepare(spec, userns, layers, err);
  if (made < 0)
    return -1;
  const unsigned count = (unsigned)made;
  int root = keeps_layers(spec) ? overlay_mount(layers, count, false, state_dir, err)
                                : overlay_mount_attached(layers, count, state_dir, err);
  if (root >= 0)
    rootfs->fds[rootfs->count++] = root;
  if (root < 0 || prepare_mounts(rootfs, spec, userns, err) < 0) {
    close_all(layers, count);
    rootfs_close(rootfs);
    return -1;
  }
  if (keeps_layers(spec)) {
    memcpy(rootfs->fds + rootfs->count, layers, count * sizeof *layers);
    rootfs->count += count;
  } else
    close_all(layers, count);
  return 0;
}

void rootfs_undo(int state_dir)
{
  static const char *const made[] = { "work/work/incompat/volatile/dirty", "work/work/incompat/volatile",
                                      "work/work/incompat" };
  for (unsigned i = 0; i < sizeof made / sizeof *made; i++)
    (void)unlinkat(state_dir, made[i], i == 0 ? 0 : AT_REMOVEDIR);
}

void rootfs_close(struct rootfs *rootfs)
{
  close_all(rootfs->fds, rootfs->count);
  rootfs->count = 0;
}
