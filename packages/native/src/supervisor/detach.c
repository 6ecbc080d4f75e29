#include "detach.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../include/control.h"

/* A process of our own: no terminal's signals, no inherited directory, no descriptor that was not meant for us. */
int detach(int joins, struct err *err)
{
  static const int ignored[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2, SIGTSTP };
  /* Handlers do not survive exec; an ignored SIGCHLD would, and would take our child's exit from us. */
  struct sigaction action = { .sa_handler = SIG_DFL };
  (void)sigaction(SIGCHLD, &action, NULL);
  action.sa_handler = SIG_IGN;
  for (unsigned i = 0; i < sizeof ignored / sizeof *ignored; i++)
    (void)sigaction(ignored[i], &action, NULL);
  sigset_t none;
  (void)sigemptyset(&none);
  (void)sigprocmask(SIG_SETMASK, &none, NULL);
  (void)setsid();
  /* The agent's session keyring goes no further: a container that has used up its own keys cannot have one made (EDQUOT) and
     keeps what it inherits. Kernels may be built without. */
  (void)syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
  (void)umask(0);
  (void)prctl(PR_SET_NAME, "berth-supervise");
  /* The spec holds secrets for as long as the container lives: no core dump of it, no look at it but by the host's root. */
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
    return err_sys(err, "init", "not dumpable");
  if (chdir("/") < 0 || syscall(SYS_close_range, BERTH_FD_COUNT + joins, ~0U, 0) < 0)
    return err_sys(err, "init", "detach");
  for (int fd = BERTH_FD_SPEC; fd < BERTH_FD_COUNT + joins; fd++)
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
      return err_sys(err, "init", "descriptor %d", fd);
  return 0;
}
