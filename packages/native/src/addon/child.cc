#include "child.h"

#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <csignal>
#include <memory>

namespace {

constexpr size_t kStackBytes = 32768;
// What the kernel takes for a set of signals.
constexpr size_t kSignalSetBytes = (NSIG - 1) / 8;

[[noreturn]] void give_up(ChildPlan* plan) {
  plan->error = errno;
  _exit(127);
}

int child_main(void* argument) {
  auto* plan = static_cast<ChildPlan*>(argument);
  for (int fd = 0; fd < plan->fd_count; fd++)
    if (dup2(plan->fds[fd], fd) < 0) give_up(plan);
  if (plan->clean) {
    struct sigaction usual = {};
    usual.sa_handler = SIG_DFL;
    for (int number = 1; number < NSIG; number++) (void)sigaction(number, &usual, nullptr);
    (void)syscall(SYS_close_range, static_cast<unsigned>(plan->fd_count), ~0U, 0U);
    sigset_t none;
    (void)sigemptyset(&none);
    if (syscall(SYS_chdir, "/") < 0 || syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, kSignalSetBytes) < 0)
      give_up(plan);
  }
  (void)syscall(SYS_execveat, plan->dir, plan->path, plan->argv, plan->envp, plan->flags);
  give_up(plan);
}

}  // namespace

int start_child(ChildPlan& plan) {
  const auto stack = std::make_unique_for_overwrite<char[]>(kStackBytes);
  sigset_t all;
  sigset_t before;
  (void)sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, &before);
  // No exit signal: libuv need not wake up for a child that is not its own. reap() waits with __WALL.
  const int pid = clone(child_main, stack.get() + kStackBytes, CLONE_VM | CLONE_VFORK, &plan);
  const int clone_error = errno;
  (void)pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) {
    errno = clone_error;
    return -1;
  }
  if (plan.error == 0) return pid;
  (void)waitpid(pid, nullptr, __WALL);
  errno = plan.error;
  return -1;
}
