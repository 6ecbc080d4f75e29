#include "mask.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include "fd.h"
#include "fs.h"
#include "text.h"

#define STAGE_MASK "mount.mask"
#define STAGE_READ_ONLY "mount.readonly"
#define ABSENT (-2)

/* Each of these has leaked a key, an address or the time of another's keystrokes to a container once. */
static const char *const masked_proc[] = { "kcore",         "keys",       "timer_list", "sched_debug",
                                           "latency_stats", "interrupts", "acpi",       "scsi",
                                           "asound",        "timer_stats" };
static const char *const masked_sys[] = { "firmware", "devices/virtual/powercap", "kernel/boot_params", "fs/selinux",
                                          "kernel/vmcoreinfo" };
/* How often each processor was too hot tells what the others run on it. */
#define PROCESSORS "devices/system/cpu"
/* A write to `pressure` asks the host's kernel for a timer of its own. */
static const char *const read_only_proc[] = { "bus", "fs", "irq", "pressure", "sys", "sysrq-trigger" };

/* Hides a file behind the null device, a directory behind an empty read-only one. Names as for `make_read_only`. */
static int cover(struct mask *mask, int top, const char *name, const char *about, bool absent_is_fine, struct err *err)
{
  const unsigned move = MOVE_MOUNT_F_EMPTY_PATH | (name[0] == '\0' ? MOVE_MOUNT_T_EMPTY_PATH : 0);
  struct stat info;
  if (fstatat(top, name, &info, AT_SYMLINK_NOFOLLOW | (name[0] == '\0' ? AT_EMPTY_PATH : 0)) < 0)
    return absent_is_fine && errno == ENOENT ? 0 : err_sys(err, STAGE_MASK, "stat %.180s", about);
  const bool first = S_ISDIR(info.st_mode) && mask->empty < 0;
  if (first) {
    static const struct fs_option options[] = { { "mode", "555" }, { "size", "4096" }, { NULL, NULL } };
    mask->empty = fs_new("tmpfs", options, FS_KERNEL | MOUNT_ATTR_RDONLY, STAGE_MASK, err);
    if (mask->empty < 0)
      return -1;
  }
  cleanup_close int copy = first ? -1
                                 : open_tree(S_ISDIR(info.st_mode) ? mask->empty : mask->null, "",
                                             OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
  if (!first && copy < 0)
    return err_sys(err, STAGE_MASK, "cover for %.180s", about);
  if (move_mount(first ? mask->empty : copy, "", top, name, move) < 0)
    return err_sys(err, STAGE_MASK, "mount on %.150s", about);
  return 0;
}

static int cover_below(struct mask *mask, int top, const char *const *names, size_t count, struct err *err)
{
  for (size_t i = 0; i < count; i++)
    if (cover(mask, top, names[i], names[i], true, err) < 0)
      return -1;
  return 0;
}

/* `name` below `top`, without following a link; or, empty, what `top` itself is open at. */
static int make_read_only(int top, const char *name, struct err *err)
{
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW;
  unsigned move = MOVE_MOUNT_F_EMPTY_PATH;
  if (name[0] == '\0') {
    flags |= AT_EMPTY_PATH;
    move |= MOVE_MOUNT_T_EMPTY_PATH;
  }
  cleanup_close int tree = open_tree(top, name, flags);
  if (tree < 0 && errno == ENOENT)
    return 0;
  struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
  if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) < 0 ||
      move_mount(tree, "", top, name, move) < 0)
    return err_sys(err, STAGE_READ_ONLY, "%.180s", name);
  return 0;
}

int mask_proc(struct mask *mask, int mounted, struct err *err)
{
  if (cover_below(mask, mounted, masked_proc, sizeof masked_proc / sizeof *masked_proc, err) < 0)
    return -1;
  for (unsigned i = 0; i < sizeof read_only_proc / sizeof *read_only_proc; i++)
    if (make_read_only(mounted, read_only_proc[i], err) < 0)
      return -1;
  return 0;
}

static int cover_processors(struct mask *mask, int mounted, struct err *err)
{
  cleanup_close int processors = openat(mounted, PROCESSORS, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  struct fd_entries entries;
  int failed = 0;
  if (processors < 0)
    return errno == ENOENT ? 0 : err_sys(err, STAGE_MASK, PROCESSORS);
  fd_entries_open(&entries, processors);
  for (const struct dirent *entry; (entry = fd_entries_next(&entries)) != NULL;) {
    char path[40];
    const char *const names[] = { path };
    if (strncmp(entry->d_name, "cpu", 3) != 0 || entry->d_name[3] < '0' || entry->d_name[3] > '9')
      continue;
    (void)text_format(path, sizeof path, "%.16s/thermal_throttle", entry->d_name);
    /* Whoever is read to its end is closed. */
    failed = failed < 0 ? failed : cover_below(mask, processors, names, 1, err);
  }
  if (failed == 0 && (errno = entries.failure) != 0)
    failed = err_sys(err, STAGE_MASK, "read " PROCESSORS);
  return failed;
}

int mask_sys(struct mask *mask, int mounted, struct err *err)
{
  if (cover_below(mask, mounted, masked_sys, sizeof masked_sys / sizeof *masked_sys, err) < 0)
    return -1;
  return cover_processors(mask, mounted, err);
}

/* ABSENT when there is nothing to cover. */
static int open_path(int root, const char *path, const char *stage, struct err *err)
{
  int target = fd_open_in_root(root, path, O_PATH);
  if (target < 0)
    return errno == ENOENT || errno == ENOTDIR ? ABSENT : err_sys(err, stage, "%.180s", path);
  return target;
}

int mask_path(struct mask *mask, int root, const char *path, struct err *err)
{
  cleanup_close int target = open_path(root, path, STAGE_MASK, err);
  if (target < 0)
    return target == ABSENT ? 0 : -1;
  return cover(mask, target, "", path, false, err);
}

int mask_read_only(int root, const char *path, struct err *err)
{
  cleanup_close int target = open_path(root, path, STAGE_READ_ONLY, err);
  if (target < 0)
    return target == ABSENT ? 0 : -1;
  if (make_read_only(target, "", err) < 0) {
    err_about(err, path);
    return -1;
  }
  return 0;
}

void mask_close(struct mask *mask)
{
  if (mask->empty >= 0)
    (void)close(mask->empty);
  mask->empty = -1;
}
