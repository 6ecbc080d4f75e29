/* From a request to the process that enters the container: its descriptors, its cgroup, its way to report. */
#include "exec_launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exec_child.h"
#include "fd.h"
#include "libc.h"
#include "supervisor.h"

/* Pipes for the program, or nothing for a terminal. `ends` are the program's. */
static int open_stdio(struct exec *exec, const struct spec *wanted, int ends[3], struct err *err)
{
  if ((wanted->header->stdio & BERTH_STDIO_TERMINAL) != 0)
    return 0;
  ends[0] = (wanted->header->stdio & BERTH_STDIO_PIPE) != 0 ? input_open_pipe(&exec->input, self.id_base, err)
                                                            : fcntl(self.null, F_DUPFD_CLOEXEC, 3);
  if (ends[0] < 0)
    return -1;
  for (unsigned i = 0; i < 2; i++) {
    int pair[2];
    if (pipe2(pair, O_CLOEXEC) < 0)
      return err_sys(err, "exec.stdio", "pipe");
    exec->outputs[i].fd = pair[0];
    ends[i + 1] = pair[1];
    if (fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0 || fchown(pair[1], self.id_base, self.id_base) < 0 ||
        loop_add(&exec->outputs[i], EPOLLIN, err) < 0)
      return err_sys(err, "exec.stdio", "prepare a pipe");
  }
  return 0;
}

static int start_launcher(struct exec *exec, struct exec_plan *plan, struct err *err)
{
  int pair[2];
  int pidfd = -1;
  int on = 1;
  const int own = exec_cgroup_clone_fd(plan->leaf, &self.cgroup);
  const bool guest = own < 0 && (self.cgroup.split || spec_is_machine(plan->container));
  cleanup_close int guests = guest ? cgroup_guest_fd(&self.cgroup) : -1;
  /* A machine can take the leaf away again and again: then nothing runs, rather than beside its limits. */
  if (guest && guests < 0)
    return err_sys(err, "exec", "make a cgroup below the container's");
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
    return err_sys(err, "exec", "socketpair");
  exec->report.fd = pair[0];
  plan->report = pair[1];
  struct clone_args args = {
    .flags = CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&pidfd, .exit_signal = SIGCHLD
  };
  int into = own >= 0 ? own : guest ? guests : cgroup_clone_fd(&self.cgroup);
  if (into >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = (unsigned)into;
  }
  long pid = -1;
  if (setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0 && fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0)
    pid = syscall(SYS_clone3, &args, sizeof args);
  if (pid == 0)
    exec_child_main(plan);
  int failed = pid < 0 ? err_sys(err, "exec", "clone3") : 0;
  (void)close(pair[1]);
  if (failed < 0)
    return -1;
  exec->launcher.fd = pidfd;
  if (loop_add(&exec->report, EPOLLIN, err) == 0 && loop_add(&exec->launcher, EPOLLIN, err) == 0)
    return 0;
  (void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
  (void)RETRY_INTR(waitid(P_PIDFD, (id_t)pidfd, NULL, WEXITED));
  return -1;
}

/* The container's own spec is mapped only for as long as somebody needs it. */
int exec_launch(struct exec *exec, struct err *err)
{
  const unsigned seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  struct spec wanted = { .bytes = NULL };
  struct spec container = { .bytes = NULL };
  int ends[3] = { -1, -1, -1 };
  int result = -1;
  if (fcntl(exec->spec_fd, F_ADD_SEALS, seals) < 0)
    (void)err_sys(err, "exec", "seal the request");
  else if (spec_map(&wanted, exec->spec_fd, err) == 0 && spec_map(&container, BERTH_FD_SPEC, err) == 0) {
    spec_lock(&wanted);
    if ((wanted.header->flags & BERTH_SPEC_EXEC) == 0)
      (void)err_set(err, EINVAL, "spec", "flags: this is no request to execute");
    else if (exec_cgroup_create(&exec->leaf, &wanted, &container, &self.cgroup, err) == 0 &&
             open_stdio(exec, &wanted, ends, err) == 0) {
      struct exec_plan plan = { .container = &container,
                                .wanted = &wanted,
                                .cgroup = &self.cgroup,
                                .leaf = &exec->leaf,
                                .init_pidfd = self.pidfd.fd,
                                .stdio = { ends[0], ends[1], ends[2] } };
      result = start_launcher(exec, &plan, err);
    }
  }
  for (unsigned i = 0; i < 3; i++)
    fd_close(&ends[i]);
  spec_unmap(&wanted);
  spec_unmap(&container);
  fd_close(&exec->spec_fd);
  return result;
}
