/*
 * A file system of its own for each container, made by the container's root: it counts against the container's memory,
 * goes with its mount namespace, and no file of the host has ever held a byte of it. Read-only once it is filled, so that
 * a program cannot be made to believe another one's secret.
 */
#include "secrets.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "fd.h"
#include "fs.h"
#include "libc.h"

#define STAGE "secrets"
#define PAGE UINT64_C(65536) /* the largest that a kernel may have */

static int new_file_system(const struct spec *spec, const struct berth_secrets *secrets, struct err *err)
{
  uint64_t bytes = PAGE;
  for (uint32_t i = 0; i < secrets->files.count; i++) {
    const struct berth_secret *secret = spec_item(spec, secrets->files, i, sizeof *secret);
    bytes += (secret->value.length + PAGE - 1) / PAGE * PAGE;
  }
  char size[32], inodes[16];
  (void)snprintf(size, sizeof size, "%" PRIu64, bytes);
  (void)snprintf(inodes, sizeof inodes, "%u", secrets->files.count + 2);
  const struct fs_option options[] = { { "size", size }, { "mode", "0755" }, { "nr_inodes", inodes }, { NULL, NULL } };
  return fs_new("tmpfs", options, FS_KERNEL, STAGE, err);
}

static int write_file(const struct spec *spec, const struct berth_secret *secret, int directory,
                      const struct user *owner, struct err *err)
{
  const char *name = spec_text(spec, secret->name);
  cleanup_close int file = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
  if (file < 0)
    return err_sys(err, STAGE, "create %.130s", name);
  if (fd_write_all(file, spec_at(spec, secret->value.offset), secret->value.length) < 0)
    return err_sys(err, STAGE, "write %.130s", name);
  if (fchmod(file, 0400) < 0 || fchown(file, owner->uid, owner->gid) < 0)
    return err_sys(err, STAGE, "give %.130s to %u", name, owner->uid);
  return 0;
}

int secrets_mount(const struct spec *spec, const struct user *owner, struct err *err)
{
  const struct berth_secrets *secrets = spec_section(spec, BERTH_SECTION_SECRETS);
  if (secrets == NULL)
    return 0;
  const char *path = spec_text(spec, secrets->target);
  cleanup_close int mounted = new_file_system(spec, secrets, err);
  if (mounted < 0)
    return -1;
  for (uint32_t i = 0; i < secrets->files.count; i++)
    if (write_file(spec, spec_item(spec, secrets->files, i, sizeof(struct berth_secret)), mounted, owner, err) < 0)
      return -1;
  struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
  if (mount_setattr(mounted, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0)
    return err_sys(err, STAGE, "read-only");
  cleanup_close int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  cleanup_close int target = root < 0 ? -1 : fd_make_dirs(root, path);
  if (target < 0)
    return err_sys(err, STAGE, "directory %.180s", path);
  return fs_place(mounted, target, STAGE, path, err);
}
