/*
 * The birth of init: out of what was prepared when there is such, in namespaces of others when the spec says so, else by a
 * clone of the supervisor.
 */
#include "birth.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "handover.h"
#include "init.h"
#include "join.h"
#include "libc.h"
#include "prepared.h"
#include "supervisor.h"
#include "userns.h"

/* As fork(2). */
static long clone_init(const struct clone_args *args, struct err *err)
{
  userns_pose();
  long pid = syscall(SYS_clone3, args, sizeof *args);
  int failure = errno;
  if (pid == 0)
    return 0;
  userns_unpose();
  errno = failure;
  return pid < 0 ? err_sys(err, "namespaces", "clone3 user, pid, mount") : pid;
}

static int pair[2] = { -1, -1 };

int birth_make_ahead(struct err *err)
{
  int on = 1;
  if (pair[0] >= 0)
    return 0;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
    return err_sys(err, "init", "socketpair");
  /* Our end never blocks: an init that stands still must not stop the control socket. */
  if (setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0 || fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0)
    return err_sys(err, "init", "prepare the socket to init");
  return 0;
}

int birth_give(int stdin_fd, struct err *err)
{
  int pidfd = -1;
  if (birth_make_ahead(err) < 0)
    return -1;
  struct clone_args args = {
    .flags = CLONE_PIDFD | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS,
    .pidfd = (uint64_t)(uintptr_t)&pidfd,
    .exit_signal = SIGCHLD,
  };
  int into = cgroup_clone_fd(&self.cgroup);
  if (into >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = (unsigned)into;
  }
  const struct init_context context = { .spec = &self.spec,
                                        .cgroup = &self.cgroup,
                                        .sync = pair[1],
                                        .sync_peer = pair[0],
                                        .stdio = { stdin_fd, self.output.writers[0], self.output.writers[1] } };
  bool joins = join_kinds(&self.spec) != 0;
  bool born = !joins && prepared.kinds != 0;
  long pid = -1;
  if (joins)
    pid = cgroup_complete(&self.cgroup, &self.spec, err) < 0 ? -1 : join_clone(&self.spec, &args, err);
  else if (born && prepared_conceive(&context, &args, err) == 0) {
    hand_over_ahead();
    pid = prepared_birth(err);
  }
  if (born && pid < 0 && err->number == ECHILD) {
    hand_over_forget();
    prepared_close();
    fd_close(&self.userns);
    born = false;
  }
  if (!joins && !born)
    pid = cgroup_complete(&self.cgroup, &self.spec, err) < 0 ? -1 : clone_init(&args, err);
  if (pid > 0 && (joins || born) && (pidfd = pidfd_open((pid_t)pid, 0)) < 0) {
    (void)err_sys(err, "init", "pidfd_open");
    /* Whoever has it not cannot end it later. Nobody else reaps it, so the number is still its own. */
    (void)kill((pid_t)pid, SIGKILL);
    (void)RETRY_INTR(waitpid((pid_t)pid, NULL, 0));
    pid = -1;
  }
  if (pid < 0) {
    fd_close(&pair[0]);
    fd_close(&pair[1]);
    return -1;
  }
  if (pid == 0)
    init_main(&context);
  fd_close(&pair[1]);
  self.sync.fd = fd_take(&pair[0]);
  self.pidfd.fd = pidfd;
  self.status.init_pid = (pid_t)pid;
  return 0;
}
