#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fd.h"
#include "privileges.h"

#define STAGE "privileges"

static const struct berth_rlimit *rlimit_at(const struct spec *spec, const struct berth_process *process, uint32_t i)
{
  return spec_item(spec, process->rlimits, i, sizeof(struct berth_rlimit));
}

/* An agent may be protected from the OOM killer; its containers must not inherit that. */
int process_set_oom_score(const struct spec *spec, pid_t init, struct err *err)
{
  const struct berth_process *process = spec_section(spec, BERTH_SECTION_PROCESS);
  char path[40], text[16];
  bool given = process != NULL && (process->flags & BERTH_PROCESS_OOM_SCORE) != 0;
  (void)snprintf(path, sizeof path, "/proc/%d/oom_score_adj", init);
  if (!given && (fd_read_at(AT_FDCWD, path, text, sizeof text) <= 0 || text[0] != '-'))
    return 0;
  (void)snprintf(text, sizeof text, "%d", given ? process->oom_score_adj : 0);
  /* Not asked for, not worth a failed start; init may be gone already, and says why itself. */
  if (fd_write_at(AT_FDCWD, path, text) < 0 && given && errno != ENOENT && errno != ESRCH)
    return err_sys(err, "process.oom", "oom_score_adj = %s", text);
  return 0;
}

/* A hard limit above the inherited one needs the host's CAP_SYS_RESOURCE. The soft one is the program's own business. */
int process_raise_limits(const struct spec *spec, pid_t init, struct err *err)
{
  const struct berth_process *process = spec_section(spec, BERTH_SECTION_PROCESS);
  for (uint32_t i = 0; process != NULL && i < process->rlimits.count; i++) {
    const struct berth_rlimit *wanted = rlimit_at(spec, process, i);
    struct rlimit limit;
    /* Whoever may not look may not raise it either; whether it must be is then seen inside. */
    if (prlimit(init, (int)wanted->resource, NULL, &limit) < 0)
      return errno == ESRCH || errno == EPERM ? 0 : err_sys(err, "process.rlimit", "read limit %u", wanted->resource);
    if (limit.rlim_max >= wanted->hard)
      continue;
    limit.rlim_max = wanted->hard;
    if (prlimit(init, (int)wanted->resource, &limit, NULL) < 0 && errno != ESRCH)
      return err_sys(err, "process.rlimit", "limit %u: hard %llu", wanted->resource, (unsigned long long)wanted->hard);
  }
  return 0;
}

int process_mounts(pid_t pid)
{
  char path[40];
  (void)snprintf(path, sizeof path, "/proc/%d/ns/mnt", pid);
  return RETRY_INTR(open(path, O_RDONLY | O_CLOEXEC));
}

int process_prepare(struct process *process, const struct spec *spec, struct err *err)
{
  process->spec = process->security = spec;
  process->stricter = NULL;
  process->wanted = spec_section(spec, BERTH_SECTION_PROCESS);
  process->user = (struct user){ .uid = 0 };
  if (process->wanted == NULL || (process->wanted->user.length == 0 && process->wanted->groups.count == 0))
    return 0;
  const char *who = process->wanted->user.length == 0 ? "" : spec_text(spec, process->wanted->user);
  return users_resolve(&process->user, spec, who, process->wanted->groups, err);
}

const char *process_home(const struct process *process)
{
  if (process->user.home[0] != '\0')
    return process->user.home;
  return process->user.uid == 0 ? "/root" : "/";
}

static int set_limits(const struct process *process, struct err *err)
{
  for (uint32_t i = 0; i < process->wanted->rlimits.count; i++) {
    const struct berth_rlimit *wanted = rlimit_at(process->spec, process->wanted, i);
    const struct rlimit limit = { .rlim_cur = wanted->soft, .rlim_max = wanted->hard };
    if (syscall(SYS_prlimit64, 0, wanted->resource, &limit, NULL) < 0)
      return err_sys(err, "process.rlimit", "limit %u: %llu, hard %llu", wanted->resource,
                     (unsigned long long)wanted->soft, (unsigned long long)wanted->hard);
  }
  return 0;
}

static int become(const struct process *process, const struct berth_process *wanted, struct err *err)
{
  const struct user *user = &process->user;
  (void)umask(wanted->umask);
  if (set_limits(process, err) < 0)
    return -1;
  /* Raw calls: the libc ones would look for other threads. Capabilities are kept, so that ambient ones can be raised;
     what exec leaves of the rest is what the sets below allow (capabilities(7)). */
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || syscall(SYS_setgroups, user->group_count, user->groups) < 0 ||
      syscall(SYS_setresgid, user->gid, user->gid, user->gid) < 0 ||
      syscall(SYS_setresuid, user->uid, user->uid, user->uid) < 0)
    return err_sys(err, "user", "become %u:%u with %u groups", user->uid, user->gid, user->group_count);
  if (privileges_set(wanted->bounding, wanted->inheritable, err) < 0)
    return -1;
  for (int capability = 0; wanted->ambient >> capability != 0; capability++)
    if ((wanted->ambient >> capability & 1) != 0 &&
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) < 0)
      return err_sys(err, STAGE, "ambient capability %d", capability);
  return 0;
}

int process_become(const struct process *process, bool dies_with_supervisor, struct err *err)
{
  if (process->wanted != NULL && become(process, process->wanted, err) < 0)
    return -1;
  /* A change of ids clears it, exec does not (prctl(2)). */
  if (dies_with_supervisor && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
    return err_sys(err, "init", "prctl");
  /* Of several filters the strictest answer counts (seccomp(2)). The first must allow that another follows. */
  if (process->stricter != NULL && privileges_filter(process->stricter, err) < 0)
    return -1;
  return privileges_filter(process->security, err);
}
