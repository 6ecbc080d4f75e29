/* What of a file system a program may not see or not change: covered by mounts of their own, which nobody inside can
   take away without CAP_SYS_ADMIN, by unmounting, remounting or mounting over them. */
#ifndef BERTH_MASK_H
#define BERTH_MASK_H

#include "err.h"

struct mask {
  int null;  /* the null device that covers files; not owned */
  int empty; /* the directory that covers directories, made when first needed */
};

/* Covers what Berth always covers of a procfs or sysfs that is mounted already; `mounted` is its root. */
int mask_proc(struct mask *mask, int mounted, struct err *err);
int mask_sys(struct mask *mask, int mounted, struct err *err);
/* One path inside `root`. What does not exist needs no cover. */
int mask_path(struct mask *mask, int root, const char *path, struct err *err);
int mask_read_only(int root, const char *path, struct err *err);
void mask_close(struct mask *mask);

#endif
