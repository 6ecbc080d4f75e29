/* New kernel file systems and mounts as descriptors, fsopen(2) and move_mount(2). */
#ifndef BERTH_FS_H
#define BERTH_FS_H

#include "err.h"
#include "libc.h"

#define FS_KERNEL (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

struct fs_option {
  const char *key; /* NULL ends the list */
  const char *value;
};

/* A new detached file system; `options` may be NULL. -1 with `err`. */
int fs_new(const char *type, const struct fs_option *options, unsigned attributes, const char *stage, struct err *err);
/* Mounts the detached `mounted` on the file that `target` is open at. */
int fs_place(int mounted, int target, const char *stage, const char *name, struct err *err);

#endif
