/*
 * What the process that reads the archive may still do: make files below one directory, as any user of the range
 * 0…65535. It is root of a user namespace of its own, sees no other file (chroot), no network, no other process, cannot
 * make device nodes (mknod(2)), and runs under the containers' system call filter.
 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "seccomp_filter.h"
#include "unpack.h"

#define STAGE "unpack.jail"
#define BIT(capability) (1u << (capability))

static int limit(int resource, rlim_t value)
{
  const struct rlimit both = { .rlim_cur = value, .rlim_max = value };
  return setrlimit((__rlimit_resource_t)resource, &both);
}

static int keep_capabilities(uint32_t kept)
{
  struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3, .pid = 0 };
  struct __user_cap_data_struct data[2] = { { .effective = kept, .permitted = kept, .inheritable = 0 }, { 0 } };
  return (int)syscall(SYS_capset, &header, data);
}

int jail_confine(int tree, uint32_t capabilities, struct unpack_report *report)
{
  static const struct sock_filter program[] = BERTH_SECCOMP_FILTER;
  const struct sock_fprog filter = {
    .len = sizeof program / sizeof *program,
    .filter = (struct sock_filter *)(uintptr_t)program,
  };
  if (fchdir(tree) < 0 || chroot(".") < 0)
    return unpack_sys(report, STAGE, "", "chroot");
  if (limit(RLIMIT_CORE, 0) < 0 || limit(RLIMIT_DATA, UINT64_C(512) << 20) < 0)
    return unpack_sys(report, STAGE, "", "setrlimit");
  if (keep_capabilities(capabilities) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
    return unpack_sys(report, STAGE, "", "drop privileges");
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) < 0)
    return unpack_sys(report, STAGE, "", "install the system call filter");
  return 0;
}

int jail_enter(int tree, const struct unpack_limits *limits, struct unpack_report *report)
{
  const uint32_t kept = BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) | BIT(CAP_FSETID);
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
    return unpack_sys(report, STAGE, "", "prctl");
  if (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0)
    return unpack_sys(report, STAGE, "", "become root of the namespace");
  if (limit(RLIMIT_NOFILE, 64) < 0 || limit(RLIMIT_FSIZE, limits->bytes) < 0 || limit(RLIMIT_AS, RLIM_INFINITY) < 0)
    return unpack_sys(report, STAGE, "", "setrlimit");
  return jail_confine(tree, kept, report);
}
