/*
 * What a container leaves that was born from what was prepared is not the host's root, which was left long ago, but an
 * empty directory, read by nobody (prepared.c), on which the host's /proc is mounted still. To leave it by pivot_root(2),
 * which looks at every process of the host, and to detach it, for which all processors are waited for, takes 0.18 ms on a
 * quiet host, milliseconds on a busy one. So the container's root is attached over that directory and entered by chroot(2).
 * From there no path leads back: `..` ends where nothing is mounted above, however a process moves its own root
 * (follow_dotdot in fs/namei.c), and only who may mount could take it away.
 *
 * The directory stays there, and the supervisor takes the host's /proc off it from outside as soon as init has left it;
 * it tells that it runs when that is done. It does not pivot: that puts the old root on top of the new one until it is
 * detached, and there "/.." of a program leads to it. Whoever may mount, by a capability or for lack of a filter, waits until
 * its init has left all of it behind.
 */
#include "old_root.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>

#include "fd.h"
#include "hook.h"
#include "libc.h"
#include "prepared.h"

#define STAGE "mount.root"

bool old_root_stays(const struct spec *spec)
{
  const struct berth_process *process = spec_section(spec, BERTH_SECTION_PROCESS);
  const struct berth_security *security = spec_section(spec, BERTH_SECTION_SECURITY);
  const bool may_mount = spec_is_machine(spec) || (process != NULL && (process->bounding >> CAP_SYS_ADMIN & 1) != 0) ||
                         (security != NULL && security->seccomp == BERTH_SECCOMP_NONE);
  /* A program that is PID 1 says nothing when it runs, and hooks may look at the container before it does. */
  return prepared.kinds != 0 && !may_mount && (spec->header->flags & BERTH_SPEC_NO_INIT) == 0 &&
         hook_count(spec, BERTH_HOOK_CREATE_RUNTIME) == 0;
}

int old_root_cover(int root, struct err *err)
{
  if (fchdir(root) < 0 || chroot(".") < 0)
    return err_sys(err, STAGE, "chroot");
  return 0;
}

/* The overlay holds its layers itself. These go with what is detached, which waits for all processors: to close one that was
   attached nowhere would be a second wait, of 0.06 ms on a quiet host and of many on a busy one. `place` is below the top of
   that: what is detached there is whatever was mounted last. */
static int leave_layers(const struct spec *spec, const struct rootfs *rootfs, const char *place, struct err *err)
{
  for (unsigned i = ROOTFS_BINDS + rootfs_binds(spec); i < rootfs->count; i++)
    if (move_mount(rootfs->fds[i], "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) < 0)
      return err_sys(err, STAGE, "leave a layer behind");
  return 0;
}

int old_root_detach(const struct spec *spec, const struct rootfs *rootfs, int old, struct err *err)
{
  /* pivot_root(2), NOTES: with "." twice the old root is stacked on the new one and can be detached from there. */
  if (fchdir(rootfs->fds[ROOTFS_ROOT]) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
    return err_sys(err, STAGE, "pivot_root");
  if (fchdir(old) < 0)
    return err_sys(err, STAGE, "return to the host's root");
  if (leave_layers(spec, rootfs, "proc", err) < 0)
    return -1;
  return umount2(".", MNT_DETACH) < 0 ? err_sys(err, STAGE, "detach the host's root") : 0;
}

static struct rootfs kept;

static void forget(void)
{
  rootfs_close(&kept);
  fd_close(&prepared.stage);
  fd_close(&prepared.home);
}

void old_root_keep(const struct spec *spec, struct rootfs *rootfs)
{
  kept = *rootfs;
  rootfs->count = 0;
  if (!old_root_stays(spec))
    forget();
}

/* Inside, with the rights that the supervisor has outside. No path that is looked up here leads over the container's root. */
static int clear(const struct spec *spec, int namespace, struct err *err)
{
  struct err ignored;
  if (setns(namespace, CLONE_NEWNS) < 0)
    return err_sys(err, STAGE, "enter the container's mounts");
  if (fchdir(prepared.stage) < 0)
    return err_sys(err, STAGE, "return to the root before");
  /* One that shows processes only (subset=pid) has no such place: then to close them is what waits. */
  (void)leave_layers(spec, &kept, "proc/fs", &ignored);
  return umount2("proc", MNT_DETACH) < 0 ? err_sys(err, STAGE, "detach the host's /proc") : 0;
}

int old_root_clear(const struct spec *spec, int namespace, struct err *err)
{
  if (kept.count == 0)
    return 0;
  cleanup_close int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0)
    return err_sys(err, STAGE, "open /");
  int failed = clear(spec, namespace, err);
  /* An agent's root need not be that of its mounts. Nothing may be done from in there: without a supervisor the container
     ends as well. */
  if (setns(prepared.home, CLONE_NEWNS) < 0 || fchdir(root) < 0 || chroot(".") < 0)
    _exit(1);
  forget();
  return failed;
}
