/*
 * The life of a container's cgroups, on both versions (Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/).
 *
 * Joining is where v1 is slow: a write to `cgroup.procs` takes a global lock and waits for an RCU grace period, about
 * 9 ms on an idle host. A single-threaded process that writes "0" to `tasks` moves itself, for which the kernel takes
 * no such lock (cgroup_procs_write_start, Linux 5.15). So the child joins by itself, through descriptors opened here.
 */
#include "cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cgroup_ahead.h"
#include "fd.h"

#define STAGE_CREATE "cgroup.create"
#define STAGE_LIMIT "cgroup.limit"
#define STAGE_DELEGATE "cgroup.delegate"
#define GUESTS "berth-exec"
#define MOST_DEPTH 64u

void cgroup_init(struct cgroup *cgroup)
{
  memset(cgroup, 0, sizeof *cgroup);
  for (unsigned i = 0; i < BERTH_MAX_HIERARCHIES; i++)
    cgroup->places[i].dir = cgroup->places[i].tasks = cgroup->places[i].ahead = -1;
  for (unsigned what = 0; what < CGROUP_COUNTS; what++)
    cgroup->counts[what] = -1;
}

/* An init that was born before its limits has more than that already. v2 kills then; v1 refuses (memory.txt, 2.5). */
static bool is_used_up(const char *file)
{
  return errno == EBUSY && strncmp(file, "memory.", 7) == 0;
}

/* What the files mean is known to lib/resources/; here they are names and texts. */
int cgroup_write(int dir, const struct spec *spec, uint32_t hierarchy, struct err *err)
{
  for (uint32_t i = 0; i < spec->header->cgroup_writes.count; i++) {
    const struct berth_cgroup_write *each = spec_cgroup_write(spec, i);
    if (each->hierarchy != hierarchy)
      continue;
    const char *file = spec_text(spec, each->file);
    const char *value = spec_text(spec, each->value);
    if (fd_write_at(dir, file, value) < 0)
      return is_used_up(file) ? err_set(err, ENOMEM, "init", CGROUP_TOO_SMALL)
                              : err_sys(err, STAGE_LIMIT, "%s = %.100s", file, value);
  }
  return 0;
}

static int path_of(char *path, size_t size, const struct spec *spec, uint32_t index, struct err *err)
{
  const char *root = spec_text(spec, spec_hierarchy(spec, index)->path);
  int length = snprintf(path, size, "%s/%s/%s", root, spec->cgroup_parent, spec->id);
  return length < 0 || (size_t)length >= size ? err_set(err, ENAMETOOLONG, STAGE_CREATE, "%.150s", root) : 0;
}

static int create_one(struct cgroup_place *place, const struct spec *spec, uint32_t index, struct err *err)
{
  const struct berth_hierarchy *hierarchy = spec_hierarchy(spec, index);
  char path[BERTH_MAX_PATH + 1];
  if (path_of(path, sizeof path, spec, index, err) < 0)
    return -1;
  place->version = hierarchy->version;
  place->controllers = hierarchy->controllers;
  if (hierarchy->version == 1 && cgroup_ahead_take(place, path))
    return 0;
  /* A directory left by an interrupted start is empty and can go; one that is in use cannot be removed. */
  if (mkdir(path, 0755) < 0 && (errno != EEXIST || rmdir(path) < 0 || mkdir(path, 0755) < 0))
    return err_sys(err, STAGE_CREATE, "%.200s", path);
  place->dir = RETRY_INTR(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (place->dir < 0) {
    int saved = errno;
    (void)rmdir(path);
    errno = saved;
    return err_sys(err, STAGE_CREATE, "open %.200s", path);
  }
  if (cgroup_write(place->dir, spec, index, err) < 0)
    return -1;
  if (hierarchy->version == 1) {
    place->tasks = RETRY_INTR(openat(place->dir, "tasks", O_WRONLY | O_CLOEXEC));
    if (place->tasks < 0)
      return err_sys(err, STAGE_CREATE, "open %.190s/tasks", path);
  }
  return 0;
}

int cgroup_create(struct cgroup *cgroup, const struct spec *spec, struct err *err)
{
  (void)snprintf(cgroup->id, sizeof cgroup->id, "%s", spec->id);
  for (uint32_t i = 0; i < spec->header->hierarchies.count; i++) {
    cgroup->count = i + 1;
    if (create_one(&cgroup->places[i], spec, i, err) < 0) {
      (void)cgroup_remove(cgroup);
      return -1;
    }
  }
  return 0;
}

int cgroup_complete(struct cgroup *cgroup, const struct spec *spec, struct err *err)
{
  char path[BERTH_MAX_PATH + 1];
  for (unsigned i = 0; i < cgroup->count; i++) {
    struct cgroup_place *place = &cgroup->places[i];
    if (place->ahead < 0)
      continue;
    if (path_of(path, sizeof path, spec, i, err) < 0)
      return -1;
    if (cgroup_ahead_name(place, path) < 0)
      return err_sys(err, STAGE_CREATE, "%.200s", path);
    if (cgroup_write(place->dir, spec, i, err) < 0)
      return -1;
    place->ahead = -1;
  }
  return 0;
}

/* What /sys/kernel/cgroup/delegate names that moves processes and controllers about; every limit stays the host's. */
int cgroup_delegate(const struct cgroup *cgroup, const struct spec *spec, struct err *err)
{
  const uid_t owner = spec->header->id_base;
  if (!spec_is_machine(spec))
    return 0;
  static const char *const files[] = { "cgroup.procs", "cgroup.threads", "cgroup.subtree_control" };
  int dir = cgroup_clone_fd(cgroup);
  if (dir < 0)
    return err_set(err, ENOTSUP, STAGE_DELEGATE, "a machine needs the cgroup2 hierarchy, which is not mounted here");
  if (fd_write_at(dir, "cgroup.max.descendants", "4096") < 0 || fd_write_at(dir, "cgroup.max.depth", "32") < 0)
    return err_sys(err, STAGE_DELEGATE, "bound the number of cgroups");
  for (unsigned i = 0; i < sizeof files / sizeof *files; i++)
    if (fchownat(dir, files[i], owner, owner, AT_SYMLINK_NOFOLLOW) < 0)
      return err_sys(err, STAGE_DELEGATE, "%s", files[i]);
  if (fchown(dir, owner, owner) < 0)
    return err_sys(err, STAGE_DELEGATE, "the cgroup");
  return 0;
}

/* v2 wants processes in leaves only, and the tree of a machine has branches. */
int cgroup_guest_fd(const struct cgroup *cgroup)
{
  int dir = cgroup_clone_fd(cgroup);
  if (dir < 0 || (mkdirat(dir, GUESTS, 0755) < 0 && errno != EEXIST))
    return -1;
  return RETRY_INTR(openat(dir, GUESTS, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

/* `name` in `dir` is open at `child`, or that is -1. */
typedef void with_cgroup(int dir, const char *name, int child, uint32_t version);

/* Deepest first; the depth is bounded by cgroup.max.depth. */
static void each_below(int dir, uint32_t version, unsigned depth, with_cgroup *work)
{
  struct fd_entries entries;
  fd_entries_open(&entries, dir);
  for (const struct dirent *entry; (entry = fd_entries_next(&entries)) != NULL;) {
    if (entry->d_type != DT_DIR)
      continue;
    cleanup_close int child = RETRY_INTR(openat(dir, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (child >= 0 && depth > 0)
      each_below(child, version, depth - 1, work);
    work(dir, entry->d_name, child, version);
  }
}

/* Only directories of a cgroup can be removed at all. */
static void remove_one(int dir, const char *name, int child, uint32_t version)
{
  (void)child;
  (void)version;
  (void)unlinkat(dir, name, AT_REMOVEDIR);
}

static void unthrottle(int dir, uint32_t version)
{
  if (version == 1)
    (void)fd_write_at(dir, "cpu.cfs_quota_us", "-1");
  else
    (void)fd_write_at(dir, "cpu.max", "max");
}

static void unthrottle_one(int dir, const char *name, int child, uint32_t version)
{
  (void)dir;
  (void)name;
  if (child >= 0)
    unthrottle(child, version);
}

int cgroup_clone_fd(const struct cgroup *cgroup)
{
  for (unsigned i = 0; i < cgroup->count; i++)
    if (cgroup->places[i].version == 2)
      return cgroup->places[i].dir;
  return -1;
}

int cgroup_join_v1(const struct cgroup *cgroup, struct err *err)
{
  for (unsigned i = 0; i < cgroup->count; i++) {
    int tasks = cgroup->places[i].tasks;
    if (tasks >= 0 && RETRY_INTR(write(tasks, "0", 1)) < 0)
      return err_sys(err, "cgroup.join", "hierarchy %u of %u", i + 1, cgroup->count);
  }
  return 0;
}

int cgroup_open_tasks(struct cgroup *cgroup, struct err *err)
{
  for (unsigned i = 0; i < cgroup->count; i++) {
    struct cgroup_place *place = &cgroup->places[i];
    if (place->version != 1)
      continue;
    place->tasks = RETRY_INTR(openat(place->dir, "tasks", O_WRONLY | O_CLOEXEC));
    if (place->tasks < 0)
      return err_sys(err, "cgroup.join", "open tasks of hierarchy %u of %u", i + 1, cgroup->count);
  }
  return 0;
}

void cgroup_close_tasks(struct cgroup *cgroup)
{
  for (unsigned i = 0; i < cgroup->count; i++) {
    if (cgroup->places[i].tasks >= 0)
      (void)close(cgroup->places[i].tasks);
    cgroup->places[i].tasks = -1;
  }
}

int cgroup_each_process(int dir, with_process *work, int argument)
{
  char text[4096] = "";
  cleanup_close int procs = RETRY_INTR(openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC));
  int64_t pid = 0;
  ssize_t size = procs < 0 ? -1 : 0;
  while (procs >= 0 && (size = RETRY_INTR(read(procs, text, sizeof text))) > 0) {
    for (ssize_t i = 0; i < size; i++) {
      if (text[i] >= '0' && text[i] <= '9') {
        pid = pid > INT32_MAX ? pid : pid * 10 + (text[i] - '0');
        continue;
      }
      if (pid > 1 && pid <= INT32_MAX && work((pid_t)pid, argument) < 0)
        return -1;
      pid = 0;
    }
  }
  return size < 0 ? -1 : 0;
}

/* Frozen processes cannot end, so their numbers stay theirs. Whoever got SIGKILL runs no further instruction. */
static int kill_one(pid_t pid, int ignored)
{
  (void)ignored;
  (void)kill(pid, SIGKILL);
  return 0;
}

static void thaw_dead(int dir)
{
  char state[32];
  if (fd_read_at(dir, "freezer.state", state, sizeof state) > 0 && strncmp(state, "FROZEN", 6) == 0)
    (void)cgroup_each_process(dir, kill_one, 0);
  (void)fd_write_at(dir, "freezer.state", "THAWED");
}

void cgroup_kill(const struct cgroup *cgroup)
{
  for (unsigned i = 0; i < cgroup->count; i++) {
    const struct cgroup_place *place = &cgroup->places[i];
    /* v2: atomic, beats a fork bomb, and works on a frozen cgroup (cgroup-v2.rst, cgroup.kill; Linux 5.14). */
    if (place->version == 2)
      (void)fd_write_at(place->dir, "cgroup.kill", "1");
    /* v1: a frozen process dies only once it is thawed (freezer-subsystem.rst). */
    else if ((place->controllers & BERTH_CONTROLLER_FREEZER) != 0)
      thaw_dead(place->dir);
  }
  /* Dying takes processor time as well: a thousand processes that share a hundredth of a CPU would take minutes. */
  for (unsigned i = 0; i < cgroup->count; i++) {
    const struct cgroup_place *place = &cgroup->places[i];
    if ((place->controllers & BERTH_CONTROLLER_CPU) == 0)
      continue;
    unthrottle(place->dir, place->version);
    each_below(place->dir, place->version, MOST_DEPTH, unthrottle_one);
  }
}

bool cgroup_remove(struct cgroup *cgroup)
{
  bool gone = true;
  char self[BERTH_MAX_ID + 8];
  (void)snprintf(self, sizeof self, "../%s", cgroup->id);
  cgroup_close_tasks(cgroup);
  for (unsigned i = 0; i < cgroup->count; i++) {
    struct cgroup_place *place = &cgroup->places[i];
    if (place->dir < 0)
      continue;
    int removed = unlinkat(place->dir, self, AT_REMOVEDIR);
    if (removed < 0 && errno == EBUSY) {
      each_below(place->dir, place->version, MOST_DEPTH, remove_one);
      removed = unlinkat(place->dir, self, AT_REMOVEDIR);
    }
    if (removed < 0 && errno != ENOENT) {
      gone = false;
      continue;
    }
    (void)close(place->dir);
    place->dir = -1;
  }
  return gone;
}
