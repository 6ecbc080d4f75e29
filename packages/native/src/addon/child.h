// Starting a program of ours from a process of any size. Node is never forked: clone(2) with CLONE_VM | CLONE_VFORK copies
// no page tables. The child only moves descriptors and executes; between the two there are nothing but async-signal-safe
// calls, all signals are blocked, and it runs on a stack of its own.
#pragma once

#include <fcntl.h>

#include "unique_fd.h"

// Whoever becomes one of the child's first descriptors lies at or above this number before, so that none is overwritten.
constexpr int kAboveChildFds = 16;

struct ChildPlan {
  int dir;  // execveat(2): these three name the program
  const char* path;
  int flags;
  const int* fds;  // what becomes descriptor 0, 1, …; each at or above kAboveChildFds, but for those that stand twice
  int fd_count;
  bool clean;  // signals as usual, no descriptor beyond those, and the root as directory; for programs that do not see to it
  char* const* argv;
  char* const* envp;
  int error;  // out: errno of what failed in the child
};

// A copy above the child's descriptors, for `fd` itself; false with errno.
inline bool lift(UniqueFd& fd) {
  fd.reset(fcntl(fd.get(), F_DUPFD_CLOEXEC, kAboveChildFds));
  return fd.valid();
}

// The child's pid: whoever asks reaps it. -1 with errno, and nothing left: then `plan.error` is 0 if there was no child at all.
int start_child(ChildPlan& plan);
