/*
 * The end of a container: what its exit record says, on disk first, then to whoever listens; and what is left is removed.
 */
#include "end.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "exec.h"
#include "fd.h"
#include "hook.h"
#include "lease.h"
#include "libc.h"
#include "payload.h"
#include "supervisor.h"

/* How long the flush of an exit record waits for an agent that will not need it. */
#define EXIT_PATIENCE_MS 50

/* reboot(2) in a pid namespace: what asked for the machine to be off shows as SIGINT, and for a new start as SIGHUP
   (pid_namespaces(7)). Some inits know no other way down than to a new start: asked to stop, that is the end. */
static bool went_down(void)
{
  if (!self.have_wait_status || (self.spec.header->flags & BERTH_SPEC_MACHINE) == 0)
    return false;
  return self.wait_status == W_EXITCODE(0, SIGINT) || (self.stop_asked && self.wait_status == W_EXITCODE(0, SIGHUP));
}

static void judge(void)
{
  struct exit_record *record = &self.exit;
  record->oom = cgroup_oom_kills(&self.cgroup) > 0;
  record->created_at_ms = self.status.created_at_ms;
  record->started_at_ms = self.status.started_at_ms;
  record->dropped_bytes = output_dropped(&self.output);
  record->cpu_us = cgroup_cpu_us(&self.cgroup);
  record->peak_bytes = cgroup_peak_bytes(&self.cgroup);
  if (self.phase == STARTING) {
    record->cause = CAUSE_START_FAILED;
    if (record->err.stage[0] == '\0')
      err_set(&record->err, record->oom ? ENOMEM : 0, "init",
              record->oom ? CGROUP_TOO_SMALL : "killed during the start");
    record->code = strcmp(record->err.stage, "exec") == 0 ? payload_exit_code(record->err.number) : 125;
    return;
  }
  if (went_down())
    self.wait_status = W_EXITCODE(0, 0);
  if (self.have_wait_status && WIFEXITED(self.wait_status)) {
    record->code = WEXITSTATUS(self.wait_status);
    record->cause = CAUSE_EXITED;
  } else {
    /* Without a word from init it was killed itself, and the payload with it. */
    record->signal = self.have_wait_status ? WTERMSIG(self.wait_status) : SIGKILL;
    record->code = 128 + record->signal;
    record->cause = CAUSE_SIGNALLED;
  }
  if (lease_has_ended())
    record->cause = CAUSE_LEASE_ENDED;
  /* A shell whose last child was killed reports 137 itself. */
  if (record->oom && record->code == 128 + SIGKILL)
    record->cause = CAUSE_OOM;
}

static bool hooks_ended;

static void on_last_hooks(const struct err *err)
{
  (void)err;
  hooks_ended = true;
}

/* The end is on disk, and told only when these are done: who reacts to it finds their work done. */
static void run_last_hooks(const char *record, size_t length)
{
  if (self.pidfd.fd < 0 || hook_count(&self.spec, BERTH_HOOK_STOPPED) == 0)
    return;
  loop_remove(&self.pidfd);
  /* They may want to unmount on the host what was mounted here. */
  fd_close(&self.mounts);
  hook_run(&self.spec, BERTH_HOOK_STOPPED, record, length, on_last_hooks);
  while (!hooks_ended)
    loop_once(-1);
}

bool end_tell(void)
{
  char text[RECORD_MAX];
  struct err err;
  hook_stop();
  self.exit.finished_at_ms = record_now_ms();
  exec_finish();
  output_finish(&self.output);
  judge();
  size_t length = record_format_exit(text, sizeof text, &self.exit);
  bool kept = record_write(BERTH_FD_STATE, "exit", text, length, &err) == 0 ||
              record_write_exit_in_place(BERTH_FD_STATE, text, length, &err) == 0;
  run_last_hooks(text, length);
  /* The agent need not wait for the disk: should the host fail before the flush, the boot id tells what happened. */
  control_broadcast(&self.control, BERTH_EVENT_EXIT, text, length);
  fd_close(&self.mounts);
  (void)unlinkat(BERTH_FD_STATE, "control.sock", 0);
  bool removed = cgroup_remove(&self.cgroup);
  for (int attempt = 0; !removed && attempt < 50; attempt++) {
    const struct timespec pause = { .tv_nsec = 2000000 };
    (void)nanosleep(&pause, NULL);
    removed = cgroup_remove(&self.cgroup);
  }
  /* An agent that closes has read it, and is usually about to delete everything here. */
  if (kept && !control_await_close(&self.control, EXIT_PATIENCE_MS))
    record_flush(BERTH_FD_STATE, "exit");
  return removed;
}
