/*
 * Two processes: the first joins the cgroups and namespaces and leaves, the second is born inside the pid namespace, as a
 * child of the supervisor (CLONE_PARENT), which can wait for it and signal it without a race.
 *
 * Nobody inside can reach either. The first is not in their pid namespace. The second is not dumpable until its exec, so
 * it cannot be ptraced, and its memory, descriptors and /proc/PID/exe belong to the host's root; that file is sealed.
 * Its descriptors are closed first of all but for the few it needs. See CVE-2019-5736, CVE-2024-21626.
 */
#include "exec_child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fd.h"
#include "init.h"
#include "join.h"
#include "payload.h"
#include "privileges.h"
#include "process.h"
#include "sync.h"
#include "terminal.h"

static char *argv[BERTH_MAX_ARGS + 1];
/* The container's, the wanted ones, HOME. */
static char *envp[2 * BERTH_MAX_ENV + 2];
static struct process process;

static _Noreturn void fail(int report, const struct err *err)
{
  (void)sync_send(report, SYNC_FAILED, 0, err);
  _exit(127);
}

static bool wants_terminal(const struct exec_plan *plan)
{
  return (plan->wanted->header->stdio & BERTH_STDIO_TERMINAL) != 0;
}

/* Of the descriptors of the supervisor only these stay. */
static int keep_descriptors(const struct exec_plan *plan, struct err *err)
{
  int kept[] = { plan->report, plan->stdio[0], plan->stdio[1], plan->stdio[2] };
  const unsigned count = sizeof kept / sizeof *kept;
  for (unsigned i = 1; i < count; i++)
    for (unsigned k = i; k > 0 && kept[k - 1] > kept[k]; k--) {
      int lower = kept[k];
      kept[k] = kept[k - 1];
      kept[k - 1] = lower;
    }
  unsigned next = 3;
  for (unsigned i = 0; i < count; i++) {
    if (kept[i] < (int)next)
      continue;
    if ((unsigned)kept[i] > next && syscall(SYS_close_range, next, (unsigned)kept[i] - 1, 0) < 0)
      return err_sys(err, "exec.stdio", "close_range");
    next = (unsigned)kept[i] + 1;
  }
  return syscall(SYS_close_range, next, ~0U, 0) < 0 ? err_sys(err, "exec.stdio", "close_range") : 0;
}

static int enter(const struct exec_plan *plan, struct err *err)
{
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
    return err_sys(err, "exec", "prctl");
  const struct spec *both[] = { plan->container, plan->wanted };
  for (unsigned i = 0; i < 2; i++)
    if (process_set_oom_score(both[i], getpid(), err) < 0 || process_raise_limits(both[i], getpid(), err) < 0)
      return -1;
  exec_cgroup_use(plan->leaf, plan->cgroup);
  if (cgroup_open_tasks(plan->cgroup, err) < 0 || cgroup_join_v1(plan->cgroup, err) < 0)
    return -1;
  int namespaces = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC |
                   CLONE_NEWCGROUP;
  const struct berth_namespaces *more = spec_section(plan->container, BERTH_SECTION_NAMESPACES);
  if ((more != NULL && (more->flags & BERTH_NAMESPACES_TIME) != 0) || (join_kinds(plan->container) & CLONE_NEWTIME) != 0)
    namespaces |= CLONE_NEWTIME;
  /* All at once, by the process they belong to (setns(2), Linux 5.8). */
  if (setns(plan->init_pidfd, namespaces) < 0)
    return err_sys(err, "exec.namespaces", "setns");
  return 0;
}

static bool names_same(const char *one, const char *other)
{
  size_t length = strcspn(one, "=");
  return strncmp(one, other, length + 1) == 0;
}

static void fill_environment(const struct exec_plan *plan)
{
  const struct berth_list wanted = plan->wanted->header->env;
  const struct berth_list inherited = plan->container->header->env;
  unsigned count = 0;
  for (uint32_t i = 0; i < wanted.count; i++)
    envp[count++] = (char *)(uintptr_t)spec_string(plan->wanted, wanted, i);
  for (uint32_t i = 0; i < inherited.count; i++) {
    const char *entry = spec_string(plan->container, inherited, i);
    bool given = false;
    for (uint32_t k = 0; k < wanted.count && !given; k++)
      given = names_same(entry, envp[k]);
    if (!given)
      envp[count++] = (char *)(uintptr_t)entry;
  }
  envp[count] = NULL;
  init_add_home(&process, envp);
}

/* Who the wanted one says, or who the container's own program is; never with more capabilities than that one may have. */
static int prepare_process(const struct exec_plan *plan, struct err *err)
{
  static struct berth_process limited;
  const struct berth_process *own = spec_section(plan->container, BERTH_SECTION_PROCESS);
  const struct berth_process *wanted = spec_section(plan->wanted, BERTH_SECTION_PROCESS);
  if (process_prepare(&process, wanted == NULL ? plan->container : plan->wanted, err) < 0)
    return -1;
  process.security = plan->container;
  process.stricter = plan->wanted;
  if (wanted != NULL) {
    const uint64_t most = own == NULL ? BERTH_CAPABILITIES_DEFAULT : own->bounding;
    limited = *wanted;
    limited.bounding &= most;
    limited.inheritable &= most;
    limited.ambient &= limited.inheritable;
    process.wanted = &limited;
  }
  return 0;
}

/* It would count among the program's processes: their limit is for the program alone. */
static int await_launcher(int report, struct err *err)
{
  struct sync_message message;
  int received = sync_receive(report, &message, 0, NULL);
  if (received == 0)
    _exit(127); /* the supervisor is gone */
  if (received < 0 || message.kind != SYNC_GO)
    return err_sys(err, "exec", "wait for the process that entered first");
  return 0;
}

static int become_program(const struct exec_plan *plan, int stdio[3], struct err *err)
{
  const struct berth_spec *header = plan->wanted->header;
  if (privileges_become_root(err) < 0)
    return -1;
  if (wants_terminal(plan)) {
    int ends[2];
    if (terminal_open(ends, header->terminal_size, err) < 0)
      return -1;
    if (sync_send_fds(plan->report, SYNC_TERMINAL, ends, 2) < 0)
      return err_sys(err, "terminal", "hand over");
    (void)close(ends[0]);
    stdio[0] = stdio[1] = stdio[2] = ends[1];
  }
  if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS && errno != EDQUOT)
    return err_sys(err, "keyring", "join a new session keyring");
  const char *workdir =
      (header->flags & BERTH_SPEC_EXEC_WORKDIR) != 0 ? plan->wanted->workdir : plan->container->workdir;
  if (init_enter_workdir(workdir, err) < 0 || prepare_process(plan, err) < 0)
    return -1;
  if (wants_terminal(plan) && fchown(stdio[0], process.user.uid, (gid_t)-1) < 0)
    return err_sys(err, "terminal", "chown to %u", process.user.uid);
  if (privileges_drop(plan->container, err) < 0)
    return -1;
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
    return err_sys(err, "exec", "prctl");
  (void)umask(022);
  if (payload_connect(stdio, wants_terminal(plan)) < 0 || syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
    return err_sys(err, "exec.stdio", "connect");
  for (uint32_t i = 0; i < header->argv.count; i++)
    argv[i] = (char *)(uintptr_t)spec_string(plan->wanted, header->argv, i);
  fill_environment(plan);
  payload_default_signals();
  payload_unblock_signals();
  if (await_launcher(plan->report, err) < 0 || process_become(&process, true, err) < 0)
    return -1;
  payload_exec(argv, envp);
  return err_sys(err, "exec", "%.200s", argv[0]);
}

_Noreturn void exec_child_main(const struct exec_plan *plan)
{
  struct err err;
  int stdio[3] = { plan->stdio[0], plan->stdio[1], plan->stdio[2] };
  if (enter(plan, &err) < 0 || keep_descriptors(plan, &err) < 0)
    fail(plan->report, &err);
  struct clone_args args = { .flags = CLONE_PARENT };
  long pid = syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) {
    (void)err_sys(&err, "exec", "clone3");
    fail(plan->report, &err);
  }
  if (pid > 0)
    _exit(0);
  /* Its pid on the host, attested by the kernel. */
  if (sync_send(plan->report, SYNC_PAYLOAD, 0, NULL) < 0)
    _exit(127);
  (void)become_program(plan, stdio, &err);
  fail(plan->report, &err);
}
