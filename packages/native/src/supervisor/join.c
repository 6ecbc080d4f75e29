/*
 * A process in between joins the namespaces and gives birth to init with CLONE_PARENT: so init is the supervisor's child
 * as ever, and the supervisor itself stays where it is. That process borrows the supervisor's memory, vfork(2), so an
 * error is simply left in `err`.
 *
 * The user namespace comes last: in it the host's root is nobody, and may no longer join what belongs to others.
 * Namespaces of clocks and cgroups are joined by init itself (namespaces.c), as the kernel gives the former only to a
 * process that shares its memory with nobody; so they come with the user namespace that they belong to.
 */
#include "join.h"

#include <errno.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../../include/control.h"
#include "fd.h"
#include "fs.h"
#include "userns.h"

#define STAGE "namespaces"

struct join_mounts join_mounts = { .sysfs = -1, .mqueue = -1 };

static const struct {
  uint32_t kind;
  const char *name;
} names[] = {
  { CLONE_NEWNET, "net" }, { CLONE_NEWIPC, "ipc" }, { CLONE_NEWUTS, "uts" }, { CLONE_NEWUSER, "user" }
};

static const struct berth_join *join_at(const struct spec *spec, uint32_t index)
{
  const struct berth_namespaces *namespaces = spec_section(spec, BERTH_SECTION_NAMESPACES);
  if (namespaces == NULL || index >= namespaces->joins.count)
    return NULL;
  return spec_item(spec, namespaces->joins, index, sizeof(struct berth_join));
}

uint32_t join_kinds(const struct spec *spec)
{
  uint32_t kinds = 0;
  const struct berth_join *join;
  for (uint32_t i = 0; (join = join_at(spec, i)) != NULL; i++)
    kinds |= join->kind;
  return kinds;
}

int join_enter(const struct spec *spec, uint32_t kind, const char *name, struct err *err)
{
  const struct berth_join *join;
  for (uint32_t i = 0; (join = join_at(spec, i)) != NULL; i++) {
    if (join->kind != kind)
      continue;
    int fd = BERTH_FD_COUNT + (int)join->fd;
    int type = ioctl(fd, NS_GET_NSTYPE);
    if (type < 0 || (uint32_t)type != kind)
      return err_set(err, EINVAL, STAGE, "%s: the descriptor is not such a namespace", name);
    if (setns(fd, (int)kind) < 0)
      return err_sys(err, STAGE, "join %s", name);
  }
  return 0;
}

static int enter_all(const struct spec *spec, struct err *err)
{
  uint32_t kinds = join_kinds(spec);
  bool owns = (kinds & CLONE_NEWUSER) != 0;
  for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
    if (names[i].kind == CLONE_NEWUSER && !owns) {
      if ((kinds & CLONE_NEWNET) != 0 &&
          (join_mounts.sysfs = fs_new("sysfs", NULL, FS_KERNEL | MOUNT_ATTR_RDONLY, "mount.sys", err)) < 0)
        return -1;
      if ((kinds & CLONE_NEWIPC) != 0 && (join_mounts.mqueue = fs_new("mqueue", NULL, FS_KERNEL, "mount.dev", err)) < 0)
        return -1;
    }
    if (join_enter(spec, names[i].kind, names[i].name, err) < 0)
      return -1;
  }
  return 0;
}

long join_clone(const struct spec *spec, struct clone_args *args, struct err *err)
{
  static long born; /* shared with the process in between */
  args->flags = (args->flags & ~(uint64_t)CLONE_PIDFD) | CLONE_PARENT;
  args->flags &= ~(uint64_t)(join_kinds(spec) & CLONE_NEWUSER);
  args->pidfd = 0;
  args->exit_signal = 0; /* that of the process in between, which is SIGCHLD */
  born = -1;
  pid_t between = vfork();
  if (between == 0) {
    if (enter_all(spec, err) < 0)
      _exit(1);
    if ((args->flags & CLONE_NEWUSER) != 0)
      userns_pose();
    long pid = syscall(SYS_clone3, args, sizeof *args);
    if (pid == 0)
      return 0; /* a copy, not a loan: this process may return */
    if (pid < 0)
      (void)err_sys(err, STAGE, "clone3 pid, mount");
    born = pid;
    _exit(0);
  }
  if (between < 0)
    return err_sys(err, STAGE, "vfork");
  (void)RETRY_INTR(waitpid(between, NULL, 0));
  join_mounts = (struct join_mounts){ .sysfs = -1, .mqueue = -1 };
  return born;
}
