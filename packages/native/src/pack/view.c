/*
 * What the container saw, seen once more: an overlay without a writable layer, in which its own is the topmost. Whiteouts
 * and opaque directories are the kernel's business that way. Ids are those on disk: the container's own for what it wrote,
 * those of the image for the rest.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "../supervisor/fd.h"
#include "pack.h"

#define STAGE "pack.view"

static int option(int fs, const char *key, const char *value, struct unpack_report *report)
{
  return fsconfig(fs, FSCONFIG_SET_STRING, key, value, 0) < 0 ? unpack_sys(report, STAGE, "", "overlay %s", key) : 0;
}

int view_open(int tree, char *const *layers, unsigned count, struct unpack_report *report)
{
  /* fsconfig(2) takes 255 bytes: names relative to /proc/self/fd have room for as many layers as a container may have. */
  char list[256];
  size_t length = (size_t)snprintf(list, sizeof list, "%d", tree);
  for (unsigned i = 0; i < count; i++) {
    /* Stays open: the mount needs it, and the process ends soon. */
    int layer = open(layers[i], O_PATH | O_DIRECTORY | O_NOFOLLOW);
    if (layer < 0)
      return unpack_sys(report, STAGE, "", "layer %.180s", layers[i]);
    int more = snprintf(list + length, sizeof list - length, ":%d", layer);
    if (more < 0 || (size_t)more >= sizeof list - length)
      return unpack_bad(report, STAGE, "", "%u layers are too many", count);
    length += (size_t)more;
  }
  if (chdir("/proc/self/fd") < 0)
    return unpack_sys(report, STAGE, "", "chdir /proc/self/fd");
  cleanup_close int fs = fsopen("overlay", FSOPEN_CLOEXEC);
  if (fs < 0)
    return unpack_sys(report, STAGE, "", "fsopen overlay");
  /* Of a paused container the tree is the upper directory of another overlay, which an index would forbid. */
  if (option(fs, "source", "overlay", report) < 0 || option(fs, "lowerdir", list, report) < 0 ||
      option(fs, "index", "off", report) < 0 || option(fs, "redirect_dir", "nofollow", report) < 0 ||
      option(fs, "metacopy", "off", report) < 0)
    return -1;
  if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
    return unpack_sys(report, STAGE, "", "overlay of the container's layers");
  cleanup_close int mounted =
    fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
  if (mounted < 0)
    return unpack_sys(report, STAGE, "", "fsmount");
  return fd_take(&mounted);
}
