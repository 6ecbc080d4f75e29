/*
 * Namespaces whose making takes longest, above all that of the network, owned by a user namespace that has no ids yet:
 * these are given when it is known whose it will be. The process that makes them borrows the memory and the descriptors
 * of the supervisor, leaves the latter behind and is gone; no program has ever run in there.
 *
 * Cgroups are not among it: they bear the container's name. Nor is anything that depends on an image, a user or a limit.
 */
#include "prepared.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>

#include "fd.h"
#include "network.h"
#include "rootfs.h"

#define STACK_BYTES 32768

struct prepared prepared = { .namespaces = { -1, -1, -1, -1 }, .dev = -1 };

static const struct {
  int kind;
  const char *path;
} each[PREPARED_NAMESPACES] = {
  [PREPARED_USER] = { CLONE_NEWUSER, "/proc/self/ns/user" },
  [PREPARED_NET] = { CLONE_NEWNET, "/proc/self/ns/net" },
  [PREPARED_IPC] = { CLONE_NEWIPC, "/proc/self/ns/ipc" },
  [PREPARED_UTS] = { CLONE_NEWUTS, "/proc/self/ns/uts" },
};

static int make_namespaces(void *argument)
{
  struct err ignored;
  int kinds = 0;
  (void)argument;
  for (unsigned i = 0; i < PREPARED_NAMESPACES; i++)
    kinds |= each[i].kind;
  if (unshare(kinds) < 0 || network_loopback(&ignored) < 0)
    _exit(1);
  for (unsigned i = 0; i < PREPARED_NAMESPACES; i++) {
    prepared.namespaces[i] = RETRY_INTR(open(each[i].path, O_RDONLY | O_CLOEXEC));
    if (prepared.namespaces[i] < 0)
      _exit(1);
  }
  prepared.kinds = (uint32_t)kinds;
  _exit(0);
}

void prepared_make(void)
{
  struct err ignored;
  _Alignas(16) char stack[STACK_BYTES];
  int pid = clone(make_namespaces, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, NULL);
  if (pid > 0)
    (void)RETRY_INTR(waitpid(pid, NULL, 0));
  if (prepared.kinds == 0)
    prepared_close_namespaces();
  prepared.dev = rootfs_make_dev(&ignored);
}

int prepared_enter(struct err *err)
{
  for (unsigned i = 0; i < PREPARED_NAMESPACES; i++)
    if (setns(prepared.namespaces[i], each[i].kind) < 0)
      return err_sys(err, "namespaces", "enter %s", each[i].path);
  return 0;
}

void prepared_close_namespaces(void)
{
  for (unsigned i = 0; i < PREPARED_NAMESPACES; i++)
    fd_close(&prepared.namespaces[i]);
}

void prepared_close(void)
{
  prepared_close_namespaces();
  fd_close(&prepared.dev);
}
