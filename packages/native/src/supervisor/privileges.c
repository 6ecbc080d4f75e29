/*
 * A fixed short list of capabilities, all of them powerless outside of the container's user namespace. The filter was
 * compiled by libseccomp when the supervisor was built (src/seccomp/generate.c): compiling it here would cost each
 * start more than installing it.
 */
#include "privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "seccomp_filter.h"

#define STAGE "privileges"
#define BIT(capability) (UINT64_C(1) << (capability))

int privileges_set(uint64_t set, uint64_t inheritable, struct err *err)
{
  struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3, .pid = 0 };
  struct __user_cap_data_struct data[2] = {
    { .effective = (uint32_t)set, .permitted = (uint32_t)set, .inheritable = (uint32_t)inheritable },
    { .effective = (uint32_t)(set >> 32),
      .permitted = (uint32_t)(set >> 32),
      .inheritable = (uint32_t)(inheritable >> 32) },
  };
  if (syscall(SYS_capset, &header, data) < 0)
    return err_sys(err, STAGE, "capset");
  return 0;
}

int privileges_become_root(struct err *err)
{
  /* Raw calls: the libc ones would look for other threads. setgroups needs gid_map, user_namespaces(7). */
  if (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0)
    return err_sys(err, STAGE, "become root of the container");
  /* A change of ids sets what fs.suid_dumpable says, which may be yes (prctl(2)). */
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
    return err_sys(err, STAGE, "not dumpable");
  return 0;
}

static bool sets_limit(const struct spec *spec, const struct berth_process *process, uint32_t resource)
{
  for (uint32_t i = 0; process != NULL && i < process->rlimits.count; i++) {
    const struct berth_rlimit *limit = spec_item(spec, process->rlimits, i, sizeof *limit);
    if (limit->resource == resource)
      return true;
  }
  return false;
}

/* What a program gets when the spec does not say. */
static int set_limits(const struct spec *spec, const struct berth_process *process, struct err *err)
{
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) < 0)
    return err_sys(err, STAGE, "getrlimit");
  /* 1024 is what select(2) can bear; a program that wants more raises it itself. */
  if (files.rlim_max > 524288)
    files.rlim_max = 524288;
  files.rlim_cur = files.rlim_max < 1024 ? files.rlim_max : 1024;
  if (!sets_limit(spec, process, RLIMIT_NOFILE) && setrlimit(RLIMIT_NOFILE, &files) < 0)
    return err_sys(err, STAGE, "setrlimit nofile");
  struct rlimit core;
  if (getrlimit(RLIMIT_CORE, &core) == 0) {
    core.rlim_cur = 0;
    (void)setrlimit(RLIMIT_CORE, &core);
  }
  return 0;
}

/* The kernel checks the program, and refuses one that it cannot be sure of. */
static int install(const struct sock_filter *program, unsigned short length, const char *what, struct err *err)
{
  const struct sock_fprog filter = { .len = length, .filter = (struct sock_filter *)(uintptr_t)program };
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) < 0)
    return err_sys(err, "seccomp", "%s", what);
  return 0;
}

static int install_default(bool machine, struct err *err)
{
  static const struct sock_filter program[] = BERTH_SECCOMP_FILTER;
  static const struct sock_filter for_machine[] = BERTH_SECCOMP_MACHINE;
  return machine ? install(for_machine, sizeof for_machine / sizeof *for_machine, "install the filter", err)
                 : install(program, sizeof program / sizeof *program, "install the filter", err);
}

/* Out of the bounding set, already. */
static uint64_t dropped;

static int drop_from_bounding_set(uint64_t unwanted, struct err *err)
{
  unwanted &= ~dropped;
  for (int capability = 0; capability < 64; capability++) {
    if ((unwanted & BIT(capability)) == 0)
      continue;
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) {
      if (errno == EINVAL)
        break; /* beyond the last one that this kernel knows */
      return err_sys(err, STAGE, "drop capability %d", capability);
    }
  }
  dropped |= unwanted;
  return 0;
}

int privileges_drop_ahead(struct err *err)
{
  return drop_from_bounding_set(~BERTH_CAPABILITIES_MOST, err);
}

int privileges_drop(const struct spec *spec, struct err *err)
{
  const struct berth_process *process = spec_section(spec, BERTH_SECTION_PROCESS);
  const uint64_t kept = process == NULL ? BERTH_CAPABILITIES_DEFAULT : process->bounding;
  /* What init needs to turn the program's process into what it shall be; see process.h. */
  const uint64_t own = BIT(CAP_SETUID) | BIT(CAP_SETGID) | BIT(CAP_KILL);
  if (set_limits(spec, process, err) < 0)
    return -1;
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
    return err_sys(err, STAGE, "clear the ambient set");
  if (drop_from_bounding_set(~kept, err) < 0 || privileges_set(kept | own, 0, err) < 0)
    return -1;
  /* Users of a machine become its root by su and sudo, as anywhere; that root is nobody outside. */
  const bool machine = spec_is_machine(spec);
  const bool gains = machine && (kept & BIT(CAP_SYS_ADMIN)) != 0; /* without it nobody may install a filter */
  if (!gains && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
    return err_sys(err, STAGE, "no_new_privs");
  const struct berth_security *security = spec_section(spec, BERTH_SECTION_SECURITY);
  return security != NULL && security->seccomp == BERTH_SECCOMP_NONE ? 0 : install_default(machine, err);
}

int privileges_filter(const struct spec *spec, struct err *err)
{
  const struct berth_security *security = spec_section(spec, BERTH_SECTION_SECURITY);
  if (security == NULL || security->filter.count == 0)
    return 0;
  _Static_assert(sizeof(struct berth_instruction) == sizeof(struct sock_filter), "one layout for both");
  const struct sock_filter *program = spec_at(spec, security->filter.offset);
  return install(program, (unsigned short)security->filter.count, "install the filter of the spec", err);
}

int privileges_keep_kill(struct err *err)
{
  return privileges_set(BIT(CAP_KILL), 0, err);
}
