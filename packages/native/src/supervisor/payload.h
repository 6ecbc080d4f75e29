/* The last steps before the user's program: from here on there is only exec(2) or a failure with its errno. */
#ifndef BERTH_PAYLOAD_H
#define BERTH_PAYLOAD_H

#include <stdbool.h>
#include <sys/types.h>

#include "err.h"
#include "process.h"

struct payload {
  const struct process *process;
  int stdio[3];
  bool terminal; /* stdio is one, and becomes the controlling one */
  int sync;
  bool is_init; /* takes the place of init: the container's PID 1 */
  /* argv and envp, NULL-terminated, made before the process is split. */
  char **argv;
  char **envp;
};

/* The exit code that a shell would show for a program that could not be run: exec(2) errors only. */
int payload_exit_code(int exec_errno);
/* A session of its own, with these as 0, 1 and 2; each may be its own number already. */
int payload_connect(const int stdio[3], bool terminal);
/* Default actions for all signals: 64 calls, so whoever is in no hurry does it before others wait. */
void payload_default_signals(void);
void payload_unblock_signals(void);
/* As execvpe(3), but without its fallback to a shell for files that are no programs. Returns only when it failed. */
void payload_exec(char *const *argv, char *const *envp);
/* Turns this very process into the program. Returns only when it failed, with `err`. */
void payload_become(const struct payload *payload, struct err *err);
/* Starts the program as a child of init; returns its pid once exec has succeeded, -1 with `err` otherwise. */
pid_t payload_start(const struct payload *payload, struct err *err);

#endif
