#include "userns.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <linux/securebits.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../include/spec.h"
#include "fd.h"

/* Behind the last range that a container can have. */
#define FIRST_OWNER 0xffff0000u
#define OWNERS 0xfff0u

static int securebits;

static void become(uid_t id)
{
  (void)syscall(SYS_setresuid, -1, id, -1);
  (void)syscall(SYS_setfsuid, 0);
  /* A change of ids sets what fs.suid_dumpable says (prctl(2)). */
  (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

void userns_pose(void)
{
  securebits = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
  /* Capabilities stay, as some kernels ask for them, and so does the id that files are reached by. */
  (void)prctl(PR_SET_SECUREBITS, (unsigned long)(securebits | SECBIT_NO_SETUID_FIXUP), 0, 0, 0);
  become(FIRST_OWNER + (uid_t)getpid() % OWNERS);
}

void userns_unpose(void)
{
  become(0);
  (void)prctl(PR_SET_SECUREBITS, (unsigned long)securebits, 0, 0, 0);
}

int userns_map(pid_t pid, uint32_t id_base, struct err *err)
{
  char text[64];
  (void)snprintf(text, sizeof text, "/proc/%d", pid);
  cleanup_close int process = RETRY_INTR(open(text, O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (process < 0)
    return err_sys(err, "userns.map", "%s", text);
  (void)snprintf(text, sizeof text, "0 %u %u\n", id_base, BERTH_ID_COUNT);
  /* user_namespaces(7): the whole map in one write; privileged here, so setgroups(2) stays possible inside. */
  if (fd_write_at(process, "uid_map", text) < 0)
    return err_sys(err, "userns.map", "uid_map %u", id_base);
  if (fd_write_at(process, "gid_map", text) < 0)
    return err_sys(err, "userns.map", "gid_map %u", id_base);
  /* Anybody inside could write this one, once, and name the host's own projects in it. */
  if (fd_write_at(process, "projid_map", text) < 0)
    return err_sys(err, "userns.map", "projid_map %u", id_base);
  int fd = RETRY_INTR(openat(process, "ns/user", O_RDONLY | O_CLOEXEC));
  if (fd < 0)
    return err_sys(err, "userns.map", "open ns/user");
  return fd;
}

int userns_joined(pid_t pid, uint32_t id_base, struct err *err)
{
  char path[64], text[256], expected[64];
  (void)snprintf(path, sizeof path, "/proc/%d", pid);
  cleanup_close int process = RETRY_INTR(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (process < 0)
    return err_sys(err, "userns.map", "%s", path);
  (void)snprintf(expected, sizeof expected, "%10u %10u %10u\n", 0U, id_base, BERTH_ID_COUNT);
  static const char *const maps[] = { "uid_map", "gid_map" };
  for (unsigned i = 0; i < 2; i++) {
    if (fd_read_at(process, maps[i], text, sizeof text) < 0)
      return err_sys(err, "userns.map", "%s", maps[i]);
    if (strcmp(text, expected) != 0)
      return err_set(err, EINVAL, "userns.map", "%s of the joined namespace does not begin at %u", maps[i], id_base);
  }
  int fd = RETRY_INTR(openat(process, "ns/user", O_RDONLY | O_CLOEXEC));
  return fd < 0 ? err_sys(err, "userns.map", "open ns/user") : fd;
}
