/*
 * Written through a procfs that nobody else has ever seen: made here, never attached to a path, so that nothing can be
 * mounted over a file of it. The file is opened without following any link, and must lie on that very procfs.
 */
#include "sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#include "fd.h"
#include "fs.h"
#include "spec_check.h"

#define STAGE "sysctl"

bool sysctl_is_allowed(const char *name)
{
  static const char *const whole[] = { "kernel/shmall", "kernel/shmmax", "kernel/shmmni", "kernel/shm_rmid_forced",
                                       "kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem" };
  static const char *const trees[] = { "net/", "fs/mqueue/" };
  if (strlen(name) > 200 || !check_is_name(name, "_-/") || strstr(name, "//") != NULL || name[strlen(name) - 1] == '/')
    return false;
  for (unsigned i = 0; i < sizeof whole / sizeof *whole; i++)
    if (strcmp(name, whole[i]) == 0)
      return true;
  for (unsigned i = 0; i < sizeof trees / sizeof *trees; i++)
    if (strncmp(name, trees[i], strlen(trees[i])) == 0)
      return true;
  return false;
}

bool sysctl_is_value(const char *value)
{
  return value[0] != '\0' && strlen(value) <= 256 && check_is_name(value, " _.:,/-");
}

static int write_one(int proc, const char *name, const char *value, struct err *err)
{
  char path[256];
  struct statfs info;
  (void)snprintf(path, sizeof path, "sys/%s", name);
  struct open_how how = { .flags = O_WRONLY | O_CLOEXEC,
                          .resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS };
  cleanup_close int fd = (int)syscall(SYS_openat2, proc, path, &how, sizeof how);
  if (fd < 0)
    return err_sys(err, STAGE, "%.180s", name);
  if (fstatfs(fd, &info) < 0 || info.f_type != PROC_SUPER_MAGIC)
    return err_set(err, EXDEV, STAGE, "%.150s is not a file of procfs", name);
  if (RETRY_INTR(write(fd, value, strlen(value))) < 0)
    return err_sys(err, STAGE, "%.120s = %.80s", name, value);
  return 0;
}

bool sysctl_needs_network(const struct spec *spec)
{
  const struct berth_security *security = spec_section(spec, BERTH_SECTION_SECURITY);
  for (uint32_t i = 0; security != NULL && i < security->sysctls.count; i++) {
    const struct berth_pair *pair = spec_item(spec, security->sysctls, i, sizeof *pair);
    if (strncmp(spec_text(spec, pair->name), "net/", 4) == 0)
      return true;
  }
  return false;
}

int sysctl_apply(const struct spec *spec, struct err *err)
{
  const struct berth_security *security = spec_section(spec, BERTH_SECTION_SECURITY);
  if (security == NULL || security->sysctls.count == 0)
    return 0;
  cleanup_close int proc = fs_new("proc", NULL, FS_KERNEL, STAGE, err);
  if (proc < 0)
    return -1;
  for (uint32_t i = 0; i < security->sysctls.count; i++) {
    const struct berth_pair *pair = spec_item(spec, security->sysctls, i, sizeof *pair);
    if (write_one(proc, spec_text(spec, pair->name), spec_text(spec, pair->value), err) < 0)
      return -1;
  }
  return 0;
}
