#include "exec.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "exec_launch.h"
#include "fd.h"
#include "libc.h"
#include "payload.h"
#include "supervisor.h"
#include "sync.h"
#include "terminal.h"

#define PIECE 8192

static struct exec execs[EXEC_MAX];
static uint32_t last_id;

static void on_report(struct source *source, uint32_t events);
static void on_launcher(struct source *source, uint32_t events);
static void on_process(struct source *source, uint32_t events);
static void on_stdout(struct source *source, uint32_t events);
static void on_stderr(struct source *source, uint32_t events);

static void release(struct exec *exec)
{
  struct control_client *client = exec->client;
  loop_close(&exec->launcher);
  loop_close(&exec->report);
  loop_close(&exec->process);
  loop_close(&exec->outputs[0]);
  loop_close(&exec->outputs[1]);
  input_close(&exec->input);
  fd_close(&exec->slave);
  fd_close(&exec->spec_fd);
  (void)exec_cgroup_remove(&exec->leaf, &self.cgroup);
  exec->phase = EXEC_FREE;
  exec->client = NULL;
  if (client != NULL) {
    client->exec = NULL;
    control_close_client(client);
  }
}

/* Nothing runs: why is the answer to the request. */
static void refuse(struct exec *exec)
{
  char text[RECORD_MAX];
  struct exit_record *exit = &exec->exit;
  if (exit->err.stage[0] == '\0')
    (void)err_set(&exit->err, 0, "exec", "killed before it was executed");
  exit->cause = CAUSE_START_FAILED;
  exit->code = strcmp(exit->err.stage, "exec") == 0 ? payload_exit_code(exit->err.number) : 125;
  exit->finished_at_ms = record_now_ms();
  size_t length = record_format_exit(text, sizeof text, exit);
  if (exec->client != NULL)
    control_reply(exec->client, BERTH_REPLY_EXEC_STARTED, exec->seq,
                  exit->err.number != 0 ? (uint32_t)exit->err.number : ECANCELED, text, length);
  if (exec->phase != EXEC_FREE)
    release(exec);
}

static struct exec *free_slot(void)
{
  for (unsigned i = 0; i < EXEC_MAX; i++)
    if (execs[i].phase == EXEC_FREE)
      return &execs[i];
  return NULL;
}

void exec_begin(struct control_client *client)
{
  struct exec *exec = free_slot();
  uint32_t error = 0;
  if (exec == NULL)
    error = EBUSY;
  if (self.phase != RUNNING)
    error = ESRCH;
  else if (client->exec != NULL || client->attached || client->left == 0 || client->left > BERTH_SPEC_MAX_BYTES)
    error = EINVAL;
  if (error != 0 || exec == NULL) {
    control_reply(client, BERTH_REPLY_EXEC_STARTED, client->request.seq, error, NULL, 0);
    return;
  }
  *exec = (struct exec){
    .phase = EXEC_RECEIVING,
    .id = last_id = last_id % INT32_MAX + 1,
    .seq = client->request.seq,
    .slave = -1,
    .client = client,
    .launcher = { on_launcher, -1 },
    .report = { on_report, -1 },
    .process = { on_process, -1 },
    .outputs = { { on_stdout, -1 }, { on_stderr, -1 } },
  };
  exec->exit.created_at_ms = record_now_ms();
  exec_cgroup_init(&exec->leaf, exec->id);
  input_init(&exec->input, &self.control);
  client->exec = exec;
  exec->spec_fd = memfd_create("berth-exec", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (exec->spec_fd < 0) {
    (void)err_sys(&exec->exit.err, "exec", "memfd_create");
    refuse(exec);
  }
}

void exec_payload(struct control_client *client)
{
  char bytes[4096];
  struct exec *exec = client->exec;
  size_t most = client->left < sizeof bytes ? client->left : sizeof bytes;
  ssize_t size = RETRY_INTR(recv(client->source.fd, bytes, most, MSG_DONTWAIT));
  if (size <= 0) {
    if (size == 0 || errno != EAGAIN)
      control_close_client(client);
    return;
  }
  client->left -= (uint32_t)size;
  /* What follows a refused request. */
  if (exec == NULL || exec->phase != EXEC_RECEIVING)
    return;
  if (fd_write_all(exec->spec_fd, bytes, (size_t)size) < 0) {
    (void)err_sys(&exec->exit.err, "exec", "keep the request");
    refuse(exec);
  } else if (client->left == 0) {
    exec->phase = EXEC_STARTING;
    client->input = &exec->input;
    if (exec_launch(exec, &exec->exit.err) < 0)
      refuse(exec);
  }
}

static void crowd(struct exec *exec)
{
  exec->crowded = true;
  for (unsigned i = 0; i < 2; i++)
    if (exec->outputs[i].fd >= 0)
      loop_remove(&exec->outputs[i]);
  control_set_wants_room(exec->client, true);
}

/* One piece to the client. True while more may come at once. */
static bool pump(struct exec *exec, unsigned index)
{
  unsigned char frame[sizeof(struct berth_reply) + PIECE];
  unsigned char *bytes = frame + sizeof(struct berth_reply);
  struct source *output = &exec->outputs[index];
  if (output->fd < 0 || exec->crowded)
    return false;
  if (exec->client != NULL && !control_has_room(exec->client)) {
    crowd(exec);
    return false;
  }
  ssize_t size = RETRY_INTR(read(output->fd, bytes, PIECE));
  if (size < 0 && errno == EAGAIN)
    return false;
  if (size <= 0) {
    loop_close(output);
    return false;
  }
  if (exec->client != NULL)
    (void)control_send_output(exec->client, (uint8_t)index, bytes, (size_t)size);
  return true;
}

static void finish_if_drained(struct exec *exec)
{
  char text[RECORD_MAX];
  for (unsigned i = 0; i < 2; i++) {
    while (pump(exec, i)) {
    }
    if (exec->crowded)
      return;
  }
  size_t length = record_format_exit(text, sizeof text, &exec->exit);
  if (exec->client != NULL)
    control_reply(exec->client, BERTH_EVENT_EXEC_EXIT, 0, 0, text, length);
  release(exec);
}

static void on_stdout(struct source *source, uint32_t events)
{
  (void)events;
  (void)pump(container_of(source, struct exec, outputs[0]), 0);
}

static void on_stderr(struct source *source, uint32_t events)
{
  (void)events;
  (void)pump(container_of(source, struct exec, outputs[1]), 1);
}

void exec_room(struct exec *exec)
{
  struct err ignored;
  if (!exec->crowded)
    return;
  exec->crowded = false;
  for (unsigned i = 0; i < 2; i++)
    if (exec->outputs[i].fd >= 0)
      (void)loop_add(&exec->outputs[i], EPOLLIN, &ignored);
  if (exec->phase == EXEC_DRAINING)
    finish_if_drained(exec);
}

static void on_terminal(struct exec *exec, const int ends[2])
{
  struct err *err = &exec->exit.err;
  /* Only a hostile launcher has a second one. */
  if (exec->slave >= 0 || exec->outputs[0].fd >= 0) {
    exec_kill(exec);
    return;
  }
  exec->outputs[0].fd = ends[0];
  exec->slave = ends[1];
  if (ends[0] < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 || loop_add(&exec->outputs[0], EPOLLIN, err) < 0 ||
      input_use_terminal(&exec->input, ends[0], err) < 0)
    exec_kill(exec);
}

static void on_born(struct exec *exec, pid_t pid)
{
  struct err ignored;
  exec->pid = pid;
  /* Our child, and not waited for yet: the number cannot name another. */
  exec->process.fd = pidfd_open(pid, 0);
  if (exec->process.fd >= 0 && loop_add(&exec->process, EPOLLIN, &ignored) == 0) {
    if (exec->client == NULL)
      exec_kill(exec);
    return;
  }
  /* Whom nobody waits for would keep the container from ending. */
  (void)err_sys(&exec->exit.err, "exec", "pidfd_open");
  (void)kill(pid, SIGKILL);
  (void)RETRY_INTR(waitid(P_PID, (id_t)pid, NULL, WEXITED));
  exec->pid = 0;
  if (exec->launcher.fd < 0)
    refuse(exec);
}

/* The other end is gone: executed, or dead. */
static void on_executed(struct exec *exec)
{
  loop_close(&exec->report);
  if (exec->pid == 0 && exec->launcher.fd < 0)
    refuse(exec);
  if (exec->pid == 0 || exec->exit.err.stage[0] != '\0')
    return;
  const struct berth_exec_started started = { .exec = exec->id, .pid = (uint32_t)exec->pid };
  exec->phase = EXEC_RUNNING;
  exec->exit.started_at_ms = record_now_ms();
  if (exec->client != NULL)
    control_reply(exec->client, BERTH_REPLY_EXEC_STARTED, exec->seq, 0, &started, sizeof started);
}

static void read_report(struct exec *exec)
{
  while (exec->report.fd >= 0) {
    struct sync_message message;
    struct sync_origin origin;
    int received = sync_receive(exec->report.fd, &message, MSG_DONTWAIT, &origin);
    if (received < 0 && errno == EAGAIN)
      return;
    if (received <= 0)
      on_executed(exec);
    else if (message.kind == SYNC_PAYLOAD)
      on_born(exec, origin.sender);
    else if (message.kind == SYNC_TERMINAL)
      on_terminal(exec, origin.fds);
    else if (message.kind == SYNC_FAILED)
      exec->exit.err = message.err;
  }
}

static void on_report(struct source *source, uint32_t events)
{
  (void)events;
  read_report(container_of(source, struct exec, report));
}

static void on_launcher(struct source *source, uint32_t events)
{
  struct exec *exec = container_of(source, struct exec, launcher);
  (void)events;
  (void)RETRY_INTR(waitid(P_PIDFD, (id_t)source->fd, NULL, WEXITED));
  loop_close(source);
  /* The program's process waits for that; a dead one needs no word. */
  (void)sync_send(exec->report.fd, SYNC_GO, 0, NULL);
  /* Without a word from the program's process there is none; while the report is open, one may still come. */
  if (exec->report.fd < 0 && exec->pid == 0 && exec->phase == EXEC_STARTING)
    refuse(exec);
  else if (exec->late)
    on_process(&exec->process, 0);
}

static void on_process(struct source *source, uint32_t events)
{
  struct exec *exec = container_of(source, struct exec, process);
  struct exit_record *exit = &exec->exit;
  struct rusage usage;
  siginfo_t info = { .si_signo = 0 };
  (void)events;
  /* Both have to be waited for, and what the first one holds open would look like a program that is not executed yet. */
  if (exec->launcher.fd >= 0) {
    loop_remove(source);
    exec->late = true;
    return;
  }
  memset(&usage, 0, sizeof usage);
  (void)RETRY_INTR(syscall(SYS_waitid, P_PIDFD, source->fd, &info, WEXITED, &usage));
  loop_close(source);
  read_report(exec);
  if (exec->phase == EXEC_STARTING) {
    refuse(exec);
    return;
  }
  exit->finished_at_ms = record_now_ms();
  exit->cpu_us = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
                 (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
  exit->peak_bytes = (uint64_t)usage.ru_maxrss * 1024;
  exit->cause = info.si_code == CLD_EXITED ? CAUSE_EXITED : CAUSE_SIGNALLED;
  exit->signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
  exit->code = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
  exit->oom = exec_cgroup_remove(&exec->leaf, &self.cgroup) > 0;
  /* A shell whose last child was killed reports 137 itself. */
  if (exit->oom && exit->code == 128 + SIGKILL)
    exit->cause = CAUSE_OOM;
  exec->phase = EXEC_DRAINING;
  finish_if_drained(exec);
}

struct exec *exec_find(uint32_t id)
{
  for (unsigned i = 0; i < EXEC_MAX; i++)
    if (execs[i].phase == EXEC_RUNNING && execs[i].id == id)
      return &execs[i];
  return NULL;
}

bool exec_is_live(uint32_t id)
{
  for (unsigned i = 0; i < EXEC_MAX; i++)
    if (execs[i].phase != EXEC_FREE && execs[i].id == id)
      return true;
  return false;
}

uint32_t exec_signal(struct exec *exec, int number)
{
  return pidfd_send_signal(exec->process.fd, number, NULL, 0) < 0 ? (uint32_t)errno : 0;
}

uint32_t exec_resize(const struct exec *exec, uint32_t size)
{
  if (exec->slave < 0)
    return ENOTTY;
  return terminal_resize(exec->slave, size) < 0 ? (uint32_t)errno : 0;
}

/* It leads a session and group of its own; what it moved to other groups ends with the container. */
void exec_kill(const struct exec *exec)
{
  if (exec->process.fd >= 0) {
    (void)kill(-exec->pid, SIGKILL);
    (void)pidfd_send_signal(exec->process.fd, SIGKILL, NULL, 0);
  } else if (exec->launcher.fd >= 0)
    (void)pidfd_send_signal(exec->launcher.fd, SIGKILL, NULL, 0);
}

void exec_abandon(struct exec *exec)
{
  exec->client = NULL;
  if (exec->phase == EXEC_RECEIVING) {
    release(exec);
    return;
  }
  exec_kill(exec);
  exec_room(exec);
}

void exec_finish(void)
{
  for (unsigned i = 0; i < EXEC_MAX; i++) {
    struct exec *exec = &execs[i];
    if (exec->phase == EXEC_STARTING || exec->phase == EXEC_RECEIVING)
      refuse(exec);
    else if (exec->phase != EXEC_FREE)
      finish_if_drained(exec);
  }
}
