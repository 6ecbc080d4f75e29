#include "hook.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include "fd.h"
#include "libc.h"
#include "loop.h"

#define STAGE "hook"
#define MAX_WORDS 64

static void on_end(struct source *source, uint32_t events);
static void on_timeout(struct source *source, uint32_t events);

/* One series at a time: the points of a life do not overlap, and a later one waits for nothing (see begin). */
static struct {
  const struct spec *spec;
  enum berth_hook_point point;
  uint32_t next;
  const struct berth_hook *hook;
  hook_done *done;
  char status[2048];
  size_t length;
  pid_t pid;
  bool timed_out;
  int said; /* what it writes to standard error */
  struct source ended, timer;
} run = { .said = -1, .ended = { on_end, -1 }, .timer = { on_timeout, -1 } };

static const struct berth_hook *hook_at(const struct spec *spec, uint32_t index)
{
  const struct berth_hooks *hooks = spec_section(spec, BERTH_SECTION_HOOKS);
  return hooks == NULL || index >= hooks->hooks.count ? NULL : spec_item(spec, hooks->hooks, index, sizeof(struct berth_hook));
}

int hook_count(const struct spec *spec, enum berth_hook_point point)
{
  int count = 0;
  const struct berth_hook *hook;
  for (uint32_t i = 0; (hook = hook_at(spec, i)) != NULL; i++)
    count += hook->point == point;
  return count;
}

static const char *program(void)
{
  return spec_string(run.spec, run.hook->argv, 0);
}

static _Noreturn __attribute__((noinline)) void child(char *const *argv, char *const *envp, int input, int output)
{
  for (int number = 1; number < NSIG; number++)
    signal_default(number);
  /* A group of its own, so that what it starts can be killed with it; and it does not outlive the supervisor. */
  (void)setsid();
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  const char *what = "";
  if (dup2(input, 0) >= 0 && dup2(output, 2) >= 0) {
    /* Not the supervisor's: programs of a container that has used up its keys may be in that one as well, and what they
       put there a hook would take for the host's. Kernels may be built without. */
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS)
      what = "join a new session keyring: ";
    else if (syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
      (void)execve(argv[0], argv, envp);
  }
  (void)dprintf(2, "%s%s", what, strerrordesc_np(errno));
  _exit(127);
}

static void fill(struct berth_list list, char **vector)
{
  for (uint32_t i = 0; i < list.count; i++)
    vector[i] = (char *)(uintptr_t)spec_string(run.spec, list, i);
  vector[list.count] = NULL;
}

static int begin(struct err *err)
{
  char *argv[MAX_WORDS + 1], *envp[MAX_WORDS + 1];
  int input[2], said[2];
  fill(run.hook->argv, argv);
  fill(run.hook->env, envp);
  if (pipe2(input, O_CLOEXEC) < 0)
    return err_sys(err, STAGE, "pipe");
  cleanup_close int reader = input[0];
  cleanup_close int writer = input[1];
  if (pipe2(said, O_CLOEXEC | O_NONBLOCK) < 0)
    return err_sys(err, STAGE, "pipe");
  run.said = said[0];
  cleanup_close int output = said[1];
  /* A pipe holds it all: nobody has to wait for a hook that does not read. */
  if (fd_write_all(writer, run.status, run.length) < 0)
    return err_sys(err, STAGE, "write the status");
  run.timed_out = false;
  run.pid = vfork();
  if (run.pid == 0)
    child(argv, envp, reader, output);
  if (run.pid < 0)
    return err_sys(err, STAGE, "vfork");
  const struct itimerspec timeout = { .it_value = { .tv_sec = run.hook->timeout_ms / 1000,
                                                    .tv_nsec = (long)(run.hook->timeout_ms % 1000) * 1000000 } };
  run.ended.fd = pidfd_open(run.pid, 0);
  run.timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  if (run.ended.fd < 0 || run.timer.fd < 0 || timerfd_settime(run.timer.fd, 0, &timeout, NULL) < 0 ||
      loop_add(&run.ended, EPOLLIN, err) < 0 || loop_add(&run.timer, EPOLLIN, err) < 0) {
    (void)err_sys(err, STAGE, "watch %.150s", program());
    (void)kill(-run.pid, SIGKILL);
    (void)RETRY_INTR(waitpid(run.pid, NULL, 0));
    loop_close(&run.ended);
    loop_close(&run.timer);
    return -1;
  }
  return 0;
}

static void finish(const struct err *err)
{
  hook_done *done = run.done;
  run.done = NULL;
  fd_close(&run.said); /* of one that could not begin */
  done(err);
}

static void proceed(void)
{
  struct err err;
  while ((run.hook = hook_at(run.spec, run.next)) != NULL && run.hook->point != run.point)
    run.next++;
  if (run.hook == NULL) {
    finish(NULL);
    return;
  }
  run.next++;
  if (begin(&err) < 0)
    finish(&err);
}

static void on_timeout(struct source *source, uint32_t events)
{
  (void)events;
  run.timed_out = true;
  loop_set(source, 0);
  (void)kill(-run.pid, SIGKILL);
}

static void on_end(struct source *source, uint32_t events)
{
  struct err err;
  char said[128];
  int status = 0;
  (void)source;
  (void)events;
  siginfo_t info = { .si_pid = 0 };
  if (RETRY_INTR(waitid(P_PID, (id_t)run.pid, &info, WEXITED | WNOHANG | WNOWAIT)) < 0 || info.si_pid == 0)
    return;
  /* What it left behind in its group goes with it; for as long as it was not reaped, that number is no other's. */
  (void)kill(-run.pid, SIGKILL);
  (void)RETRY_INTR(waitpid(run.pid, &status, 0));
  loop_close(&run.ended);
  loop_close(&run.timer);
  ssize_t length = read(run.said, said, sizeof said - 1);
  said[length > 0 ? length : 0] = '\0';
  said[strcspn(said, "\n")] = '\0';
  fd_close(&run.said);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    proceed();
    return;
  }
  if (run.timed_out)
    (void)err_set(&err, ETIMEDOUT, STAGE, "%.150s did not end within %u ms", program(), run.hook->timeout_ms);
  else if (WIFEXITED(status))
    (void)err_set(&err, 0, STAGE, "%.100s ended with %d: %s", program(), WEXITSTATUS(status), said);
  else
    (void)err_set(&err, 0, STAGE, "%.150s was killed by signal %d", program(), WTERMSIG(status));
  finish(&err);
}

void hook_stop(void)
{
  if (run.done == NULL)
    return;
  run.done = NULL;
  (void)kill(-run.pid, SIGKILL);
  (void)RETRY_INTR(waitpid(run.pid, NULL, 0));
  loop_close(&run.ended);
  loop_close(&run.timer);
  fd_close(&run.said);
}

void hook_run(const struct spec *spec, enum berth_hook_point point, const char *status, size_t length, hook_done *done)
{
  hook_stop();
  run.spec = spec;
  run.point = point;
  run.next = 0;
  run.done = done;
  run.length = length < sizeof run.status ? length : sizeof run.status;
  memcpy(run.status, status, run.length);
  proceed();
}
