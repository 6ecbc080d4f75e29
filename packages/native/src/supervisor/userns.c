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

/* projid_map: anybody inside could write this one, once, and name the host's own projects in it. */
static const char *const map_names[] = { "uid_map", "gid_map", "projid_map" };

int userns_open(struct userns_files *files, pid_t pid, struct err *err)
{
  char text[32];
  *files = (struct userns_files)USERNS_NO_FILES;
  (void)snprintf(text, sizeof text, "/proc/%d", pid);
  cleanup_close int process = RETRY_INTR(open(text, O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (process < 0)
    return err_sys(err, "userns.map", "%s", text);
  for (unsigned i = 0; i < 3; i++)
    if ((files->maps[i] = RETRY_INTR(openat(process, map_names[i], O_WRONLY | O_CLOEXEC | O_NOFOLLOW))) < 0) {
      userns_close(files);
      return err_sys(err, "userns.map", "open %s", map_names[i]);
    }
  if ((files->namespace = RETRY_INTR(openat(process, "ns/user", O_RDONLY | O_CLOEXEC))) < 0) {
    userns_close(files);
    return err_sys(err, "userns.map", "open ns/user");
  }
  return 0;
}

int userns_give(struct userns_files *files, uint32_t id_base, struct err *err)
{
  char text[32];
  int length = snprintf(text, sizeof text, "0 %u %u\n", id_base, BERTH_ID_COUNT);
  int failed = 0;
  /* user_namespaces(7): the whole map in one write; privileged here, so setgroups(2) stays possible inside. */
  for (unsigned i = 0; failed == 0 && i < 3; i++)
    if (RETRY_INTR(write(files->maps[i], text, (size_t)length)) < 0)
      failed = err_sys(err, "userns.map", "%s %u", map_names[i], id_base);
  int namespace = failed == 0 ? fd_take(&files->namespace) : -1;
  userns_close(files);
  return namespace;
}

void userns_close(struct userns_files *files)
{
  for (unsigned i = 0; i < 3; i++)
    fd_close(&files->maps[i]);
  fd_close(&files->namespace);
}

int userns_map(pid_t pid, uint32_t id_base, struct err *err)
{
  struct userns_files files;
  return userns_open(&files, pid, err) < 0 ? -1 : userns_give(&files, id_base, err);
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
