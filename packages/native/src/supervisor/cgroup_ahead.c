/*
 * A v1 cgroup can be renamed (cgroup1_rename), so a supervisor on standby makes one in each hierarchy before the container
 * has a name; at the claim it gets that, and its limits. Nothing was ever in it. A v2 cgroup keeps its name for life.
 */
#include "cgroup_ahead.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../../include/control.h"
#include "../../include/spec.h"
#include "fd.h"

struct ahead {
  const char *parent;
  int dir, tasks; /* until they are taken */
  bool named;
};
static struct ahead made[BERTH_MAX_HIERARCHIES];
static unsigned count;

static int path_of(const struct ahead *ahead, char *path, size_t size)
{
  int length = snprintf(path, size, "%s/" BERTH_STANDBY_CGROUP "%d", ahead->parent, getpid());
  return length < 0 || (size_t)length >= size ? -1 : 0;
}

static void drop(struct ahead *ahead)
{
  char path[BERTH_MAX_PATH + 1];
  fd_close(&ahead->dir);
  fd_close(&ahead->tasks);
  if (!ahead->named && path_of(ahead, path, sizeof path) == 0)
    (void)rmdir(path);
}

static void make(const char *parent)
{
  char path[BERTH_MAX_PATH + 1];
  struct ahead *ahead = &made[count];
  *ahead = (struct ahead){ .parent = parent, .dir = -1, .tasks = -1 };
  /* One of that number may be left of a supervisor that was killed. */
  if (path_of(ahead, path, sizeof path) < 0 ||
      (mkdir(path, 0755) < 0 && (errno != EEXIST || rmdir(path) < 0 || mkdir(path, 0755) < 0)))
    return;
  ahead->dir = RETRY_INTR(openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ahead->tasks = ahead->dir < 0 ? -1 : RETRY_INTR(openat(ahead->dir, "tasks", O_WRONLY | O_CLOEXEC));
  if (ahead->tasks >= 0) {
    count++;
    return;
  }
  fd_close(&ahead->dir);
  (void)rmdir(path);
}

void cgroup_ahead_make(char *const *parents)
{
  for (; *parents != NULL && count < sizeof made / sizeof *made; parents++)
    make(*parents);
}

bool cgroup_ahead_take(struct cgroup_place *place, const char *path)
{
  const size_t length = (size_t)(strrchr(path, '/') - path);
  for (unsigned i = 0; i < count; i++) {
    struct ahead *ahead = &made[i];
    if (ahead->dir < 0 || strlen(ahead->parent) != length || memcmp(ahead->parent, path, length) != 0)
      continue;
    /* In one that was removed there is nothing. */
    if (faccessat(ahead->dir, "tasks", F_OK, 0) < 0)
      return false;
    place->ahead = (int)i;
    place->dir = fd_take(&ahead->dir);
    place->tasks = fd_take(&ahead->tasks);
    return true;
  }
  return false;
}

int cgroup_ahead_name(const struct cgroup_place *place, const char *path)
{
  char from[BERTH_MAX_PATH + 1];
  struct stat named, opened;
  struct ahead *ahead = &made[place->ahead];
  if (ahead->named)
    return 0;
  if (path_of(ahead, from, sizeof from) < 0 || stat(from, &named) < 0 || fstat(place->dir, &opened) < 0)
    return -1;
  /* Somebody has put one of the same name in its place. */
  if (named.st_dev != opened.st_dev || named.st_ino != opened.st_ino) {
    errno = ESTALE;
    return -1;
  }
  /* A directory left by an interrupted start is empty and can go; one that is in use cannot be removed. */
  if (rename(from, path) < 0 && (errno != EEXIST || rmdir(path) < 0 || rename(from, path) < 0))
    return -1;
  ahead->named = true;
  return 0;
}

void cgroup_ahead_drop(void)
{
  for (unsigned i = 0; i < count; i++)
    drop(&made[i]);
  count = 0;
}
