/* What the supervisor prepares for the container's mount namespace while it still has the host's privileges and view:
   detached mounts, handed over as descriptors. */
#ifndef BERTH_ROOTFS_H
#define BERTH_ROOTFS_H

#include <sys/types.h>

#include "err.h"
#include "spec.h"

/* Order of the descriptors that are handed to the child. Last are the layers that the root was made of. */
enum { ROOTFS_ROOT, ROOTFS_DEV, ROOTFS_BINDS };
#define ROOTFS_MAX_FDS (ROOTFS_BINDS + BERTH_MAX_MOUNTS + BERTH_MAX_LAYERS)

struct rootfs {
  int fds[ROOTFS_MAX_FDS];
  unsigned count;
};

/* How many descriptors there will be, and how many of them are binds. */
unsigned rootfs_count(const struct spec *spec);
unsigned rootfs_binds(const struct spec *spec);
int rootfs_prepare(struct rootfs *rootfs, const struct spec *spec, int state_dir, int userns, struct err *err);
/* A /dev that belongs to nobody yet. */
int rootfs_make_dev(struct err *err);
/* To the container's root, as the owner of a user namespace expects: its directories, before anything else is mounted on
   them; what is there already is given as well. The rest of it follows when the root is prepared. */
int rootfs_give_places(int dev, uid_t owner, struct err *err);
/* The null device of the container, for its programs: flags of an open file are common to all who have it, and the
   supervisor throws output away into its own. Nor is the host's for a stranger to watch, inotify(7). */
int rootfs_open_null(const struct rootfs *rootfs, struct err *err);
void rootfs_close(struct rootfs *rootfs);
/* After that: it can be prepared once more. Overlayfs refuses what a volatile mount was made of before. */
void rootfs_undo(int state_dir);

#endif
