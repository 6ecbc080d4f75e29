/* Namespaces of others that a container shares: with the containers of its group, or with the host. */
#ifndef BERTH_JOIN_H
#define BERTH_JOIN_H

#include <linux/sched.h>

#include "err.h"
#include "spec.h"

/* What only the owner of a joined namespace may mount, made before init was born; -1: init makes it itself. */
struct join_mounts {
  int sysfs;
  int mqueue;
};
extern struct join_mounts join_mounts;

/* CLONE_NEW* of those that are joined; 0 for most containers. */
uint32_t join_kinds(const struct spec *spec);
/* Joins the one of this kind, if there is one. A process for which its namespace's owner is somebody else is refused. */
int join_enter(const struct spec *spec, uint32_t kind, const char *name, struct err *err);
/* As clone3(2), with a child that is born into them. 0 in the child, -1 with `err`; the pidfd has to be opened. */
long join_clone(const struct spec *spec, struct clone_args *args, struct err *err);

#endif
