/* Users and groups by the image's own files, read strictly: they were written by whoever made the image. */
#ifndef BERTH_USERS_H
#define BERTH_USERS_H

#include <sys/types.h>

#include "err.h"
#include "spec.h"

#define USERS_MAX_GROUPS 256u
#define USERS_MAX_HOME 1024u

struct user {
  uid_t uid;
  gid_t gid;
  gid_t groups[USERS_MAX_GROUPS];
  unsigned group_count;
  char home[USERS_MAX_HOME]; /* empty: the image does not know one */
};

/*
 * `who` is "name", "uid", "name:group" or "uid:gid", both by name or number; empty means root. Without a group the
 * image's /etc/passwd says it (gid 0 when it does not know the uid), and its /etc/group the supplementary ones. `more`
 * are added to them. To be called when "/" is the container's.
 */
int users_resolve(struct user *user, const struct spec *spec, const char *who, struct berth_list more, struct err *err);

#endif
