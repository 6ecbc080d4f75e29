/*
 * The supervisor: one small process per container, the parent of its init. It survives the agent that started it.
 *
 *   spec ─► status "starting" ─► cgroups ─► clone3 ─► ids, mounts ─► [init sets up, execs] ─► status "running" ─► exit
 *
 * `status` exists before the first process of the container does. So whoever finds the lock free, a `status` and no
 * `exit` knows that something may have run and that its supervisor was killed; without a `status` nothing ever ran.
 * Single-threaded, one epoll loop from the clone on, no allocation at all.
 */
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "cgroup.h"
#include "check.h"
#include "control.h"
#include "fd.h"
#include "init.h"
#include "output.h"
#include "payload.h"
#include "record.h"
#include "rootfs.h"
#include "spec.h"
#include "sync.h"
#include "userns.h"

enum phase { STARTING, RUNNING };

struct supervisor {
  struct spec spec;
  struct cgroup cgroup;
  struct control control;
  struct output out, log; /* stdout, stderr */
  struct status_record status;
  struct exit_record exit;
  enum phase phase;
  int sync;  /* to init */
  int pidfd; /* of init */
  int epoll;
  bool have_wait_status;
  int wait_status; /* of the payload, as init saw it */
};

static struct supervisor self = { .sync = -1, .pidfd = -1, .epoll = -1 };

static int write_status(struct err *err)
{
  char text[RECORD_MAX];
  size_t length = record_format_status(text, sizeof text, &self.status);
  return record_write(BERTH_FD_STATE, "status", text, length, err);
}

static int watch(int fd, void *tag, struct err *err)
{
  struct epoll_event event = { .events = EPOLLIN, .data.ptr = tag };
  if (epoll_ctl(self.epoll, EPOLL_CTL_ADD, fd, &event) < 0)
    return err_sys(err, "init", "epoll_ctl");
  return 0;
}

/* A process of our own: no terminal's signals, no inherited directory, no descriptor that was not meant for us. */
static int detach(struct err *err)
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
  (void)umask(0);
  (void)prctl(PR_SET_NAME, "berth-supervise");
  if (chdir("/") < 0 || syscall(SYS_close_range, BERTH_FD_COUNT, ~0U, 0) < 0)
    return err_sys(err, "init", "detach");
  for (int fd = BERTH_FD_SPEC; fd < BERTH_FD_COUNT; fd++)
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
      return err_sys(err, "init", "descriptor %d", fd);
  return 0;
}

/* An agent may be protected from the OOM killer; its containers must not inherit that. */
static void become_killable(pid_t pid)
{
  char text[32];
  if (fd_read_at(AT_FDCWD, "/proc/self/oom_score_adj", text, sizeof text) > 0 && text[0] == '-') {
    (void)snprintf(text, sizeof text, "/proc/%d/oom_score_adj", pid);
    (void)fd_write_at(AT_FDCWD, text, "0");
  }
}

static int start_init(struct err *err)
{
  int pair[2];
  int pidfd = -1;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
    return err_sys(err, "init", "socketpair");
  int on = 1;
  /* Our end never blocks: an init that stands still must not stop the control socket. */
  if (setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0 || fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0)
    return err_sys(err, "init", "prepare the socket to init");
  struct clone_args args = {
    .flags = CLONE_PIDFD | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS,
    .pidfd = (uint64_t)(uintptr_t)&pidfd,
    .exit_signal = SIGCHLD,
  };
  int into = cgroup_clone_fd(&self.cgroup);
  if (into >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = (unsigned)into;
  }
  long pid = syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) {
    err_sys(err, "namespaces", "clone3 user, pid, mount");
    (void)close(pair[0]);
    (void)close(pair[1]);
    return -1;
  }
  if (pid == 0) {
    const struct init_context context = { .spec = &self.spec,
                                          .cgroup = &self.cgroup,
                                          .sync = pair[1],
                                          .sync_peer = pair[0],
                                          .stdout_fd = self.out.writer,
                                          .stderr_fd = self.log.writer };
    init_main(&context);
  }
  (void)close(pair[1]);
  self.sync = pair[0];
  self.pidfd = pidfd;
  self.status.init_pid = (pid_t)pid;
  become_killable((pid_t)pid);
  output_close_writer(&self.out);
  output_close_writer(&self.log);
  cgroup_close_tasks(&self.cgroup);
  return 0;
}

static int hand_over_mounts(struct err *err)
{
  struct rootfs rootfs;
  cleanup_close int userns = userns_map(self.status.init_pid, self.spec.header->id_base, err);
  if (userns < 0 || rootfs_prepare(&rootfs, &self.spec, BERTH_FD_STATE, userns, err) < 0)
    return -1;
  int sent = sync_send_fds(self.sync, SYNC_SETUP, rootfs.fds, rootfs.count);
  rootfs_close(&rootfs);
  /* EPIPE: init failed earlier and has said why. */
  return sent < 0 && errno != EPIPE && errno != ECONNRESET ? err_sys(err, "init", "hand over the mounts") : 0;
}

static int start(struct err *err)
{
  const struct berth_spec *header = self.spec.header;
  self.status = (struct status_record){ .state = "starting", .cgroup_parent = self.spec.cgroup_parent };
  if (write_status(err) < 0 || cgroup_create(&self.cgroup, &self.spec, err) < 0 ||
      output_open(&self.out, BERTH_FD_STATE, "stdout", header->output_max_bytes, header->id_base, err) < 0 ||
      output_open(&self.log, BERTH_FD_STATE, "stderr", header->output_max_bytes, header->id_base, err) < 0)
    return -1;
  self.epoll = epoll_create1(EPOLL_CLOEXEC);
  if (self.epoll < 0)
    return err_sys(err, "init", "epoll_create1");
  if (start_init(err) < 0 || hand_over_mounts(err) < 0)
    return -1;
  if (watch(self.sync, &self.sync, err) < 0 || watch(self.pidfd, &self.pidfd, err) < 0 ||
      watch(self.out.pipe, &self.out, err) < 0 || watch(self.log.pipe, &self.log, err) < 0 ||
      watch(self.control.listener, &self.control, err) < 0)
    return -1;
  if (self.control.clients[0].fd >= 0)
    return watch(self.control.clients[0].fd, &self.control.clients[0], err);
  return 0;
}

static void on_running(void)
{
  char text[RECORD_MAX];
  struct err ignored;
  self.phase = RUNNING;
  self.status.state = "running";
  self.status.started_at_ms = record_now_ms();
  /* A full disk here costs the pid in a file, which the socket tells as well. */
  (void)write_status(&ignored);
  size_t length = record_format_status(text, sizeof text, &self.status);
  control_broadcast(&self.control, BERTH_EVENT_STARTED, text, length);
}

/* Returns false when init has nothing more to say. */
static bool on_sync(void)
{
  struct sync_message message;
  pid_t sender = 0;
  int received = sync_receive(self.sync, &message, MSG_DONTWAIT, &sender);
  if (received <= 0)
    return false;
  switch (message.kind) {
  case SYNC_PAYLOAD:
    self.status.pid = sender;
    break;
  case SYNC_RUNNING:
    on_running();
    break;
  case SYNC_FAILED:
    self.exit.err = message.err;
    break;
  case SYNC_EXITED:
    self.have_wait_status = true;
    self.wait_status = message.value;
    break;
  default:
    break;
  }
  return true;
}

/* With init every process of its pid namespace dies (pid_namespaces(7)). Thawing a frozen v1 cgroup comes second, so
   that nothing in it runs another instruction. */
static void kill_all(void)
{
  if (self.pidfd >= 0)
    (void)pidfd_send_signal(self.pidfd, SIGKILL, NULL, 0);
  cgroup_kill(&self.cgroup);
}

static void on_request(struct control_client *client)
{
  char text[RECORD_MAX];
  size_t length;
  uint32_t seq = client->request.seq;
  switch (client->request.op) {
  case BERTH_OP_SUBSCRIBE:
    client->subscribed = true;
    /* fallthrough */
  case BERTH_OP_STATUS:
    length = record_format_status(text, sizeof text, &self.status);
    control_reply(client, BERTH_REPLY_STATUS, seq, 0, text, length);
    return;
  case BERTH_OP_SIGNAL:
    if (client->request.a < 1 || client->request.a >= NSIG) {
      control_reply(client, BERTH_REPLY_DONE, seq, EINVAL, NULL, 0);
      return;
    }
    if (sync_send(self.sync, SYNC_SIGNAL, (int32_t)client->request.a, NULL) < 0)
      control_reply(client, BERTH_REPLY_DONE, seq, errno == EAGAIN ? EAGAIN : ESRCH, NULL, 0);
    else
      control_reply(client, BERTH_REPLY_DONE, seq, 0, NULL, 0);
    return;
  default:
    kill_all();
    control_reply(client, BERTH_REPLY_DONE, seq, 0, NULL, 0);
    return;
  }
}

static void on_client(struct control_client *client)
{
  while (client->fd >= 0 && control_read(client) > 0)
    on_request(client);
}

static void on_listener(void)
{
  struct err ignored;
  struct control_client *client = control_accept(&self.control);
  if (client != NULL && watch(client->fd, client, &ignored) < 0)
    control_close_client(client);
}

/* Until init is gone, and with it every process of the container. */
static void serve(void)
{
  struct epoll_event events[8];
  for (;;) {
    int count = RETRY_INTR(epoll_wait(self.epoll, events, 8, -1));
    bool ended = false;
    for (int i = 0; i < count; i++) {
      void *tag = events[i].data.ptr;
      if (tag == &self.sync) {
        if (!on_sync())
          (void)epoll_ctl(self.epoll, EPOLL_CTL_DEL, self.sync, NULL);
      } else if (tag == &self.pidfd)
        ended = true;
      else if (tag == &self.out || tag == &self.log)
        (void)output_pump(tag);
      else if (tag == &self.control)
        on_listener();
      else
        on_client(tag);
    }
    if (ended)
      return;
  }
}

static void judge(void)
{
  struct exit_record *record = &self.exit;
  record->oom = cgroup_oom_kills(&self.cgroup) > 0;
  record->started_at_ms = self.status.started_at_ms;
  record->dropped_bytes = self.out.dropped + self.log.dropped;
  if (self.phase == STARTING) {
    record->cause = CAUSE_START_FAILED;
    if (record->err.stage[0] == '\0')
      err_set(&record->err, record->oom ? ENOMEM : 0, "init",
              record->oom ? "the memory limit is too small to start anything" : "killed during the start");
    record->code = strcmp(record->err.stage, "exec") == 0 ? payload_exit_code(record->err.number) : 125;
    return;
  }
  if (self.have_wait_status && WIFEXITED(self.wait_status)) {
    record->code = WEXITSTATUS(self.wait_status);
    record->cause = CAUSE_EXITED;
  } else {
    /* Without a word from init it was killed itself, and the payload with it. */
    record->signal = self.have_wait_status ? WTERMSIG(self.wait_status) : SIGKILL;
    record->code = 128 + record->signal;
    record->cause = CAUSE_SIGNALLED;
  }
  /* A shell whose last child was killed reports 137 itself. */
  if (record->oom && record->code == 128 + SIGKILL)
    record->cause = CAUSE_OOM;
}

static void finish(void)
{
  char text[RECORD_MAX];
  struct err err;
  if (self.pidfd >= 0) {
    (void)RETRY_INTR(waitid(P_PIDFD, (id_t)self.pidfd, NULL, WEXITED));
    while (on_sync()) {
    }
  }
  self.exit.finished_at_ms = record_now_ms();
  while (output_pump(&self.out) || output_pump(&self.log)) {
  }
  judge();
  size_t length = record_format_exit(text, sizeof text, &self.exit);
  bool kept = record_write(BERTH_FD_STATE, "exit", text, length, &err) == 0 ||
              record_write_exit_in_place(BERTH_FD_STATE, text, length, &err) == 0;
  /* The agent need not wait for the disk: should the host fail before the flush, the boot id tells what happened. */
  control_broadcast(&self.control, BERTH_EVENT_EXIT, text, length);
  (void)unlinkat(BERTH_FD_STATE, "control.sock", 0);
  for (int attempt = 0; !cgroup_remove(&self.cgroup) && attempt < 50; attempt++) {
    const struct timespec pause = { .tv_nsec = 2000000 };
    (void)nanosleep(&pause, NULL);
  }
  if (kept)
    record_flush(BERTH_FD_STATE, "exit");
}

int main(int argc, char **argv)
{
  struct err err;
  if (argc == 2 && strcmp(argv[1], "--check-spec") == 0)
    return check_spec_main();
  if (argc == 2 && strcmp(argv[1], "--version") == 0)
    return printf("berth-supervisor spec %u control %u\n", BERTH_SPEC_VERSION, BERTH_CONTROL_VERSION) < 0;

  cgroup_init(&self.cgroup);
  self.out.pipe = self.log.pipe = -1;
  if (detach(&err) < 0)
    return 125;
  if (control_open(&self.control, BERTH_FD_STATE, BERTH_FD_FIRST_CLIENT, &err) < 0 ||
      spec_map(&self.spec, BERTH_FD_SPEC, &err) < 0 || start(&err) < 0) {
    self.exit.err = err;
    kill_all();
  } else {
    (void)close(BERTH_FD_SPEC);
    serve();
  }
  finish();
  return 0;
}
