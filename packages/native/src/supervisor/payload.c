/*
 * vfork(2): the child borrows init's memory until exec, so nothing is copied, an error is simply left in `err`, and the
 * call returns when it is known whether the program runs. Init is single-threaded and waits meanwhile.
 */
#include "payload.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"
#include "libc.h"
#include "sync.h"
#include "text.h"

#define STAGE "exec"
static const char default_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

int payload_exit_code(int exec_errno)
{
  return exec_errno == ENOENT || exec_errno == ENOTDIR ? 127 : 126;
}

static const char *find_path(char *const *envp)
{
  for (; *envp != NULL; envp++)
    if (strncmp(*envp, "PATH=", 5) == 0)
      return *envp + 5;
  return default_path;
}

void payload_exec(char *const *argv, char *const *envp)
{
  const char *name = argv[0];
  if (strchr(name, '/') != NULL) {
    (void)execve(name, argv, envp);
    return;
  }
  int seen = ENOENT;
  char candidate[4096];
  for (const char *at = find_path(envp); at != NULL;) {
    const char *colon = strchr(at, ':');
    size_t length = colon == NULL ? strlen(at) : (size_t)(colon - at);
    const char *directory = length == 0 ? "." : at;
    at = colon == NULL ? NULL : colon + 1;
    if (length > sizeof candidate || length + 1 + strlen(name) >= sizeof candidate)
      continue;
    (void)text_format(candidate, sizeof candidate, "%.*s/%s", length == 0 ? 1 : (int)length, directory, name);
    (void)execve(candidate, argv, envp);
    if (errno == EACCES)
      seen = EACCES;
    else if (errno != ENOENT && errno != ENOTDIR)
      return;
  }
  errno = seen;
}

int payload_connect(const int stdio[3], bool terminal)
{
  if (setsid() < 0)
    return -1;
  for (int fd = 0; fd < 3; fd++)
    if (stdio[fd] != fd && dup2(stdio[fd], fd) < 0)
      return -1;
  return terminal ? ioctl(STDIN_FILENO, TIOCSCTTY, 0) : 0;
}

void payload_default_signals(void)
{
  for (int number = 1; number < NSIG; number++)
    signal_default(number);
}

void payload_unblock_signals(void)
{
  sigset_t none;
  (void)sigemptyset(&none);
  (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Returns only when it failed, with `err`. */
static void run(const struct payload *payload, struct err *err)
{
  /* Its pid on the host, attested by the kernel (unix(7), SCM_CREDENTIALS). */
  if (sync_send(payload->sync, SYNC_PAYLOAD, 0, NULL) < 0)
    (void)err_sys(err, "init", "report the pid");
  else if (payload_connect(payload->stdio, payload->terminal) < 0)
    (void)err_sys(err, "stdio", "connect");
  else if (syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
    (void)err_sys(err, "stdio", "close_range");
  else {
    payload_unblock_signals();
    if (process_become(payload->process, payload->is_init, err) == 0) {
      payload_exec(payload->argv, payload->envp);
      (void)err_sys(err, STAGE, "%.200s", payload->argv[0]);
    }
  }
}

static _Noreturn __attribute__((noinline)) void child(const struct payload *payload, struct err *err)
{
  run(payload, err);
  _exit(1);
}

void payload_become(const struct payload *payload, struct err *err)
{
  run(payload, err);
}

pid_t payload_start(const struct payload *payload, struct err *err)
{
  memset(err, 0, sizeof *err);
  pid_t pid = vfork();
  if (pid == 0)
    child(payload, err);
  if (pid < 0)
    return err_sys(err, "init", "vfork");
  if (err->stage[0] != '\0') {
    (void)RETRY_INTR(waitpid(pid, NULL, 0));
    return -1;
  }
  return pid;
}
