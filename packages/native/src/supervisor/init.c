/*
 * The first process of a pid namespace is special: the kernel ignores signals that it has no handler for, and kills
 * everything when it ends (pid_namespaces(7)). A user's program expects neither, so it is PID 2 and this is PID 1.
 *
 * The program cannot reach it: it is not dumpable, so /proc/1/exe, fd, mem and the rest belong to the host's root; its
 * code is a sealed memory file; it keeps no capability but CAP_KILL. It dies with the supervisor: by PR_SET_PDEATHSIG,
 * and because its socket ends.
 */
#include "init.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../../include/control.h"
#include "fd.h"
#include "hook.h"
#include "join.h"
#include "mounts.h"
#include "namespaces.h"
#include "network.h"
#include "old_root.h"
#include "payload.h"
#include "prepared.h"
#include "privileges.h"
#include "process.h"
#include "rootfs.h"
#include "secrets.h"
#include "sync.h"
#include "sysctl.h"
#include "terminal.h"

/* What needs neither ids nor mounts runs while the supervisor prepares them. The cgroup namespace comes after the
   join: its root is the cgroup that the process is in (cgroup_namespaces(7)). */
static int setup_early(const struct init_context *context, struct err *err)
{
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
    return err_sys(err, "init", "not dumpable");
  if (cgroup_join_v1(context->cgroup, err) < 0)
    return -1;
  uint32_t joined = join_kinds(context->spec);
  if (unshare((int)((CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWCGROUP) & ~(joined | context->prepared))) < 0)
    return err_sys(err, "namespaces", "unshare net, uts, cgroup");
  /* Somebody else's name and network are not for us to change. */
  if ((joined & CLONE_NEWUTS) == 0 && sethostname(context->spec->hostname, strlen(context->spec->hostname)) < 0)
    return err_sys(err, "hostname", "%s", context->spec->hostname);
  if (namespaces_setup(context->spec, err) < 0)
    return -1;
  if ((joined & CLONE_NEWNET) != 0)
    return 0;
  if (spec_section(context->spec, BERTH_SECTION_NETWORK) == NULL)
    return (context->prepared & CLONE_NEWNET) != 0 ? 0 : network_loopback(err);
  if ((context->prepared & CLONE_NEWNET) == 0 && sync_send(context->sync, SYNC_NETNS, 0, NULL) < 0)
    return err_sys(err, "init", "announce the network namespace");
  return 0;
}

/* Its ids were mapped before it was born, and where /proc and /dev are put together is there already. */
static int setup_prepared(const struct init_context *context, struct err *err)
{
  return privileges_become_root(err) < 0 ? -1 : mounts_ahead(context->spec, err);
}

int init_enter_workdir(const char *path, struct err *err)
{
  cleanup_close int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  cleanup_close int dir = root < 0 ? -1 : fd_make_dirs(root, path);
  if (dir < 0 || fchdir(dir) < 0)
    return err_sys(err, "workdir", "%.200s", path);
  /* A directory outside of the root would show here as "(unreachable)", getcwd(2). */
  char where[4096];
  if (syscall(SYS_getcwd, where, sizeof where) < 0 || where[0] != '/')
    return err_set(err, EXDEV, "workdir", "%.180s is not inside the container", path);
  return 0;
}

/* The supervisor gets both ends: with one of its own open, the other end never looks hung up to it. */
static int make_terminal(const struct init_context *context, int stdio[3], struct err *err)
{
  int ends[2];
  if (terminal_open(ends, context->spec->header->terminal_size, err) < 0)
    return -1;
  if (terminal_make_console(ends[1], err) < 0)
    return -1;
  if (sync_send_fds(context->sync, SYNC_TERMINAL, ends, 2) < 0)
    return err_sys(err, "terminal", "hand over");
  (void)close(ends[0]);
  for (int fd = 0; fd < 3; fd++)
    stdio[fd] = ends[1];
  return 0;
}

/* The supervisor does it while this process mounts: it takes as long. */
static int await_word(int sync, enum sync_kind wanted, const char *what, struct err *err)
{
  struct sync_message message;
  int received = sync_receive(sync, &message, 0, NULL);
  if (received == 0)
    _exit(1); /* the supervisor gave up and says why itself */
  if (received < 0 || message.kind != wanted)
    return err_sys(err, "init", "wait for %s", what);
  return 0;
}

static int await_pair(int sync, struct err *err)
{
  return await_word(sync, SYNC_PLUGGED, "the network", err);
}

static int setup_late(const struct init_context *context, const struct rootfs *rootfs, int stdio[3],
                      struct process *process, struct err *err)
{
  const bool networked = spec_section(context->spec, BERTH_SECTION_NETWORK) != NULL;
  if ((context->prepared == 0 && privileges_become_root(err) < 0) || (networked && network_allow_ping(err) < 0))
    return -1;
  if (stdio[0] == STDIN_FILENO && (stdio[0] = rootfs_open_null(rootfs, err)) < 0)
    return -1;
  /* Message queues, and with them /dev/mqueue, belong to whoever makes their namespace: the container's root. */
  if (unshare((int)(CLONE_NEWIPC & ~(join_kinds(context->spec) | context->prepared))) < 0)
    return err_sys(err, "namespaces", "unshare ipc");
  /* Settings of an interface need it to be there, and defaults of interfaces shall not depend on who is faster. */
  const bool early = networked && sysctl_needs_network(context->spec);
  if (early && (await_pair(context->sync, err) < 0 || network_setup(context->spec, err) < 0))
    return -1;
  if (sysctl_apply(context->spec, err) < 0 || mounts_enter(context->spec, rootfs, err) < 0)
    return -1;
  if (old_root_stays(context->spec) && sync_send(context->sync, SYNC_ENTERED, 0, NULL) < 0)
    return err_sys(err, "init", "tell that the root is entered");
  if ((context->spec->header->stdio & BERTH_STDIO_TERMINAL) != 0 && make_terminal(context, stdio, err) < 0)
    return -1;
  /* A new session keyring: the one inherited is the agent's. Kernels may be built without. */
  if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS && errno != EDQUOT)
    return err_sys(err, "keyring", "join a new session keyring");
  if (init_enter_workdir(context->spec->workdir, err) < 0 || process_prepare(process, context->spec, err) < 0 ||
      secrets_mount(context->spec, &process->user, err) < 0 || mounts_finish(context->spec, rootfs, err) < 0)
    return -1;
  if (stdio[0] >= 0 && (context->spec->header->stdio & BERTH_STDIO_TERMINAL) != 0 &&
      fchown(stdio[0], process->user.uid, (gid_t)-1) < 0)
    return err_sys(err, "terminal", "chown to %u", process->user.uid);
  if (networked && !early && (await_pair(context->sync, err) < 0 || network_setup(context->spec, err) < 0))
    return -1;
  if (privileges_drop(context->spec, err) < 0)
    return -1;
  /* After the last change of ids and capabilities, which clears both (prctl(2)). */
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
    return err_sys(err, "init", "prctl");
  return 0;
}

/* Faults of init itself are not for the program; the rest is. */
static int block_signals(struct err *err)
{
  static const int own[] = { SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS };
  sigset_t set;
  /* sigfillset(3) leaves out what a C library uses itself; programs may use a C library that does not. */
  memset(&set, 0xff, sizeof set);
  for (unsigned i = 0; i < sizeof own / sizeof *own; i++)
    (void)sigdelset(&set, own[i]);
  if (sigprocmask(SIG_SETMASK, &set, NULL) < 0)
    return err_sys(err, "init", "sigprocmask");
  int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  return fd < 0 ? err_sys(err, "init", "signalfd") : fd;
}

/* Reaps everything that ended; leaves, and with it the whole container, when the program is among it. */
static void reap(pid_t payload, int sync)
{
  int status = 0;
  pid_t pid;
  while ((pid = RETRY_INTR(waitpid(-1, &status, WNOHANG))) > 0) {
    if (pid == payload) {
      (void)sync_send(sync, SYNC_EXITED, status, NULL);
      _exit(0);
    }
  }
}

static _Noreturn void serve(pid_t payload, int sync, int signals)
{
  stack_trim();
  struct pollfd sources[] = { { .fd = signals, .events = POLLIN }, { .fd = sync, .events = POLLIN } };
  for (;;) {
    if (RETRY_INTR(poll(sources, 2, -1)) < 0)
      _exit(1);
    struct signalfd_siginfo info;
    while (read(signals, &info, sizeof info) == (ssize_t)sizeof info) {
      int number = (int)info.ssi_signo;
      if (number == SIGCHLD)
        reap(payload, sync);
      else
        (void)kill(payload, number);
    }
    if (sources[1].revents == 0)
      continue;
    struct sync_message message;
    int received = sync_receive(sync, &message, MSG_DONTWAIT, NULL);
    if (received == 0)
      _exit(1); /* no supervisor: nobody would learn of anything any more */
    if (received > 0 && message.kind == SYNC_SIGNAL && message.value > 0 && message.value < NSIG)
      (void)kill(payload, message.value);
  }
}

static _Noreturn void fail(int sync, const struct err *err)
{
  (void)sync_send(sync, SYNC_FAILED, 0, err);
  _exit(1);
}

/* Everything is there but the program. Should a hook fail, the supervisor kills this process. */
static void await_hooks(int sync)
{
  struct sync_message message;
  if (sync_send(sync, SYNC_READY, 0, NULL) < 0 || sync_receive(sync, &message, 0, NULL) <= 0 ||
      message.kind != SYNC_GO)
    _exit(1);
}

static void fill_vector(const struct spec *spec, struct berth_list list, char **vector)
{
  for (uint32_t i = 0; i < list.count; i++)
    vector[i] = (char *)(uintptr_t)spec_string(spec, list, i);
  vector[list.count] = NULL;
}

void init_add_home(const struct process *process, char **envp)
{
  static char text[sizeof "HOME=" + USERS_MAX_HOME];
  unsigned count = 0;
  for (; envp[count] != NULL; count++)
    if (strncmp(envp[count], "HOME=", 5) == 0)
      return;
  (void)snprintf(text, sizeof text, "HOME=%s", process_home(process));
  envp[count] = text;
}

_Noreturn void init_main(const struct init_context *context)
{
  struct err err;
  struct rootfs rootfs = { .count = rootfs_count(context->spec) };
  struct sync_message message;
  int sync = context->sync;

  /* At once: the lock says that a supervisor lives, and this is none. */
  (void)close(BERTH_FD_LOCK);
  (void)close(BERTH_FD_FIRST_CLIENT);
  (void)close(context->sync_peer);
  /* The kernel keeps from PID 1 whatever it has no handler for. */
  if (context->prepared == 0)
    payload_default_signals();
  if (setup_early(context, &err) < 0 || (context->prepared != 0 && setup_prepared(context, &err) < 0))
    fail(sync, &err);
  int received = sync_receive_fds(sync, &message, rootfs.fds, rootfs.count);
  if (received == 0)
    _exit(1); /* the supervisor gave up and says why itself */
  if (received < 0 || message.kind != SYNC_SETUP) {
    (void)err_sys(&err, "init", "receive the mounts");
    fail(sync, &err);
  }
  static struct process process;
  int stdio[3] = { context->stdio[0], context->stdio[1], context->stdio[2] };
  if (setup_late(context, &rootfs, stdio, &process, &err) < 0)
    fail(sync, &err);
  rootfs_close(&rootfs);
  int signals = block_signals(&err);
  if (signals < 0 || await_word(sync, SYNC_CONFINED, "its limits", &err) < 0)
    fail(sync, &err);

  if (hook_count(context->spec, BERTH_HOOK_CREATE_RUNTIME) > 0)
    await_hooks(sync);

  static char *argv[BERTH_MAX_ARGS + 1];
  static char *envp[BERTH_MAX_ENV + 2];
  fill_vector(context->spec, context->spec->header->argv, argv);
  fill_vector(context->spec, context->spec->header->env, envp);
  init_add_home(&process, envp);
  (void)umask(022);
  struct payload payload = { .process = &process,
                                   .stdio = { stdio[0], stdio[1], stdio[2] },
                                   .terminal = (context->spec->header->stdio & BERTH_STDIO_TERMINAL) != 0,
                                   .sync = sync,
                                   .argv = argv,
                                   .envp = envp };
  if ((context->spec->header->flags & BERTH_SPEC_NO_INIT) != 0) {
    payload.is_init = true;
    payload_become(&payload, &err);
    fail(sync, &err);
  }
  pid_t pid = payload_start(&payload, &err);
  if (pid < 0)
    fail(sync, &err);
  if (privileges_keep_kill(&err) < 0)
    _exit(1);
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  /* Its memory was shared with the program's process, whose change of ids may have changed this, too. */
  if (process.wanted != NULL && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
    _exit(1);
  /* Keep these two and nothing else: no state directory, no pipe whose end someone waits for. */
  if (dup3(sync, 3, O_CLOEXEC) < 0 || dup3(signals, 4, O_CLOEXEC) < 0)
    _exit(1);
  (void)syscall(SYS_close_range, 5, ~0U, 0);
  (void)sync_send(3, SYNC_RUNNING, 0, NULL);
  serve(pid, 3, 4);
}
