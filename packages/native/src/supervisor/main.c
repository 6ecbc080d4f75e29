/*
 * The supervisor: one small process per container, the parent of its init. It survives the agent that started it.
 *
 *   spec ─► status "starting" ─► cgroups ─► clone3 ─► ids, mounts ─► [init sets up, execs] ─► status "running" ─► exit
 *
 * `status` exists before the first process of the container does. So whoever finds the lock free, a `status` and no
 * `exit` knows that something may have run and that its supervisor was killed; without a `status` nothing ever ran.
 * Single-threaded, one epoll loop from the clone on, no allocation at all.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "../../include/control.h"
#include "birth.h"
#include "cgroup_ahead.h"
#include "check.h"
#include "detach.h"
#include "device.h"
#include "end.h"
#include "exec.h"
#include "fd.h"
#include "handover.h"
#include "hook.h"
#include "join.h"
#include "lease.h"
#include "libc.h"
#include "old_root.h"
#include "payload.h"
#include "prepared.h"
#include "standby.h"
#include "supervisor.h"
#include "sync.h"

static void on_sync(struct source *source, uint32_t events);
static void on_ended(struct source *source, uint32_t events);
static void on_output(uint8_t stream, unsigned char *bytes, size_t length);

struct supervisor self = { .sync = { on_sync, -1 }, .pidfd = { on_ended, -1 }, .mounts = -1, .null = -1, .userns = -1, .terminal = { -1, -1 } };

static int write_status(struct err *err)
{
  char text[RECORD_MAX];
  size_t length = record_format_status(text, sizeof text, &self.status);
  return record_write(BERTH_FD_STATE, "status", text, length, err);
}

/* Nothing is opened for a terminal: init makes it in the container. */
static int open_stdio(int *stdin_fd, struct err *err)
{
  const struct berth_spec *header = self.spec.header;
  *stdin_fd = STDIN_FILENO; /* /dev/null */
  self.output.attached = on_output;
  self.output.wait = (header->stdio & BERTH_STDIO_LOG_WAITS) != 0;
  if ((header->stdio & BERTH_STDIO_TERMINAL) != 0) {
    output_drop_pipes(&self.output);
    return 0;
  }
  if (output_open_pipes(&self.output, header->id_base, err) < 0)
    return -1;
  if ((header->stdio & BERTH_STDIO_PIPE) != 0)
    *stdin_fd = input_open_pipe(&self.input, header->id_base, err);
  return *stdin_fd < 0 ? -1 : 0;
}

/* On standby, whatever the container. What cannot be made is left to the start, which says why. */
static void make_ahead(void)
{
  struct err ignored;
  (void)(output_make_pipes(&self.output, &ignored) < 0 || loop_open(&ignored) < 0 || birth_make_ahead(&ignored) < 0);
}

/* Of what was prepared, before init is born: it can then begin with what wants ids. */
static int give_ids(struct err *err)
{
  if (join_kinds(&self.spec) != 0)
    prepared_close();
  else if (prepared_is_ready() && (self.userns = userns_give(&prepared.userns, self.spec.header->id_base, err)) < 0)
    return -1;
  return 0;
}

static int start(int joins, struct err *err)
{
  const struct berth_spec *header = self.spec.header;
  self.id_base = header->id_base;
  if ((header->flags & BERTH_SPEC_EXEC) != 0)
    return err_set(err, EINVAL, "spec", "flags: this is a request to execute");
  self.status = (struct status_record){ .state = "starting", .cgroup_parent = self.spec.cgroup_parent,
                                        .stop_signal = header->stop_signal,
                                        .created_at_ms = record_now_ms() };
  const struct log_limits limits = { .bytes = header->log_bytes,
                                     .files = header->log_files,
                                     .per_second = header->log_per_second };
  int stdin_fd = -1;
  log_open(&self.output.log, BERTH_FD_STATE, &limits);
  if (write_status(err) < 0 || cgroup_create(&self.cgroup, &self.spec, err) < 0 ||
      device_control(&self.spec, &self.cgroup, err) < 0 ||
      open_stdio(&stdin_fd, err) < 0 || loop_open(err) < 0)
    return -1;
  int started = birth_give(stdin_fd, err);
  spec_lock(&self.spec);
  for (int i = 0; i < joins; i++)
    (void)close(BERTH_FD_COUNT + i);
  if (stdin_fd != STDIN_FILENO)
    (void)close(stdin_fd);
  if (started < 0 || hand_over(err) < 0)
    return -1;
  if (loop_add(&self.sync, EPOLLIN, err) < 0 || loop_add(&self.pidfd, EPOLLIN, err) < 0)
    return -1;
  if (lease_open(&self.spec, err) < 0)
    return -1;
  return output_watch(&self.output, err) < 0 ? -1 : control_watch(&self.control, err);
}

bool is_alone(void)
{
  return self.spec.header != NULL && (self.spec.header->flags & BERTH_SPEC_NO_INIT) != 0;
}

/* The program runs, or is gone: what its hooks could not do is theirs to report. */
static void ignore_hooks(const struct err *err)
{
  (void)err;
}

static void on_running(void)
{
  char text[RECORD_MAX];
  struct err ignored;
  self.phase = RUNNING;
  self.status.state = "running";
  self.status.started_at_ms = record_now_ms();
  size_t length = record_format_status(text, sizeof text, &self.status);
  /* A full disk here costs the pid in a file, which the socket tells as well. */
  (void)record_rewrite(BERTH_FD_STATE, "status", text, length, &ignored);
  control_broadcast(&self.control, BERTH_EVENT_STARTED, text, length);
  stack_trim();
  if (hook_count(&self.spec, BERTH_HOOK_STARTED) > 0)
    hook_run(&self.spec, BERTH_HOOK_STARTED, text, length, ignore_hooks);
}

static void on_hooks_ready(const struct err *err)
{
  if (err == NULL && sync_send(self.sync.fd, SYNC_GO, 0, NULL) == 0)
    return;
  if (err != NULL)
    self.exit.err = *err;
  kill_all();
}

/* Everything is there but the program. */
static void on_ready(void)
{
  char text[RECORD_MAX];
  size_t length = record_format_status(text, sizeof text, &self.status);
  hook_run(&self.spec, BERTH_HOOK_CREATE_RUNTIME, text, length, on_hooks_ready);
}

/* A program that is PID 1 itself cannot say that it runs: the kernel closes the socket when exec succeeds. */
static void judge_silence(void)
{
  if (is_alone() && self.phase == STARTING && self.status.pid != 0 &&
      self.exit.err.stage[0] == '\0')
    on_running();
}

static void on_terminal(const int ends[2])
{
  /* Only a hostile init has a second one. */
  if (self.terminal[0] >= 0 || self.terminal[1] >= 0) {
    kill_all();
    return;
  }
  self.terminal[0] = ends[0];
  self.terminal[1] = ends[1];
  if (ends[0] < 0 || output_use_terminal(&self.output, ends[0], &self.exit.err) < 0 ||
      input_use_terminal(&self.input, ends[0], &self.exit.err) < 0)
    kill_all();
}

/* Returns false when init has nothing more to say. */
static bool read_sync(void)
{
  struct sync_message message;
  struct sync_origin origin;
  int received = sync_receive(self.sync.fd, &message, MSG_DONTWAIT, &origin);
  if (received <= 0)
    return false;
  switch (message.kind) {
  case SYNC_PAYLOAD:
    self.status.pid = origin.sender;
    prepared_reap();
    break;
  case SYNC_ENTERED:
    /* Who had ended before these could be opened shows them to nobody; why it did is seen when it is reaped. */
    if (self.mounts >= 0 && old_root_clear(&self.spec, self.mounts, &self.exit.err) < 0)
      kill_all();
    prepared_reap();
    break;
  case SYNC_RUNNING:
    /* Not of what is being killed because something of it could not be had. */
    if (self.exit.err.stage[0] == '\0')
      on_running();
    break;
  case SYNC_TERMINAL:
    on_terminal(origin.fds);
    break;
  case SYNC_READY:
    on_ready();
    break;
  case SYNC_FAILED:
    self.exit.err = message.err;
    break;
  case SYNC_EXITED:
    self.have_wait_status = true;
    self.wait_status = message.value;
    /* While init ends. */
    cgroup_open_counts(&self.cgroup);
    break;
  default:
    break;
  }
  return true;
}

static void on_sync(struct source *source, uint32_t events)
{
  (void)events;
  if (!read_sync()) {
    loop_remove(source);
    judge_silence();
  }
}

static void on_output(uint8_t stream, unsigned char *bytes, size_t length)
{
  control_fan_out(&self.control, stream, bytes, length);
}

static void on_ended(struct source *source, uint32_t events)
{
  (void)source;
  (void)events;
  self.ended = true;
}

/* With init every process of its pid namespace dies (pid_namespaces(7)). Thawing a frozen v1 cgroup comes second, so
   that nothing in it runs another instruction. */
void kill_all(void)
{
  if (self.pidfd.fd >= 0)
    (void)pidfd_send_signal(self.pidfd.fd, SIGKILL, NULL, 0);
  cgroup_kill(&self.cgroup);
}

/* Until init is gone, and with it every process of the container. */
static void serve(void)
{
  while (!self.ended) {
    loop_once(output_timeout(&self.output));
    output_resume(&self.output);
  }
}

/* Nothing of the container runs any more: what did init see last? */
static bool finish(void)
{
  if (self.pidfd.fd >= 0) {
    siginfo_t info = { .si_code = 0 };
    (void)RETRY_INTR(waitid(P_PIDFD, (id_t)self.pidfd.fd, &info, WEXITED));
    while (read_sync()) {
    }
    judge_silence();
    if (is_alone() && self.phase == RUNNING) {
      self.have_wait_status = true;
      self.wait_status = info.si_code == CLD_EXITED ? W_EXITCODE(info.si_status, 0) : W_EXITCODE(0, info.si_status);
    }
  }
  /* A start that failed early leaves a stem, which stands in the container's namespaces: they end before that is told. */
  prepared_close();
  return end_tell();
}

int main(int argc, char **argv)
{
  struct err err;
  if (argc == 2 && strcmp(argv[1], "--check-spec") == 0)
    return check_spec_main();
  if (argc == 2 && strcmp(argv[1], "--version") == 0)
    return printf("berth-supervisor spec %u control %u\n", BERTH_SPEC_VERSION, BERTH_CONTROL_VERSION) < 0;

  cgroup_init(&self.cgroup);
  output_init(&self.output);
  input_init(&self.input, &self.control);
  requests_install();
  /* How many descriptors of namespaces follow; the spec says which. */
  int joins = argc == 3 && argv[2][0] >= '1' && argv[2][0] <= '8' && argv[2][1] == '\0' ? argv[2][0] - '0' : 0;
  bool standby = argc >= 2 && standby_is_wanted(argv[1]);
  bool detached = detach(joins, &err) == 0;
  if (!detached && (standby || err.number == EBADF))
    return 125; /* nobody can be told, or nobody waits for it */
  if (standby) {
    make_ahead();
    standby_prepare(BERTH_FD_STATE, argv + 2);
  }
  bool listening = detached && control_open(&self.control, BERTH_FD_STATE, BERTH_FD_FIRST_CLIENT, &err) == 0;
  bool wanted = !standby || standby_wait(BERTH_FD_FIRST_CLIENT, BERTH_FD_SPEC);
  /* On standby: while the directory gets its name. */
  bool ready = wanted && listening && spec_map(&self.spec, BERTH_FD_SPEC, &err) == 0 && give_ids(&err) == 0;
  if (standby && !(wanted && standby_is_claimed(BERTH_FD_FIRST_CLIENT))) {
    prepared_close();
    cgroup_ahead_drop();
    return 0;
  }
  bool started = ready && start(joins, &err) == 0;
  if (!started) {
    self.exit.err = err;
    /* Before init misses the cgroups that go now, and says that. */
    kill_all();
  }
  cgroup_ahead_drop();
  if (started && standby)
    standby_rename(argv[1], self.spec.id);
  if (started)
    serve();
  return finish() ? BERTH_EXIT_REMOVED : 1;
}
