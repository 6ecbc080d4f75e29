#include "exec_cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "exec.h"
#include "fd.h"
#include "supervisor.h"

#define STAGE "cgroup.create"
#define MAIN "berth-main"
#define LEAF "berth-exec-"
/* A pass moves whoever is there; children of those that were moved are born in the new place. */
#define MOST_PASSES 50

void exec_cgroup_init(struct exec_cgroup *leaf, uint32_t id)
{
  *leaf = (struct exec_cgroup){ .id = id };
  for (unsigned i = 0; i < BERTH_MAX_HIERARCHIES; i++)
    leaf->dirs[i] = -1;
}

static void name_of(uint32_t id, char name[32])
{
  (void)snprintf(name, 32, LEAF "%u", id);
}

/* Who ends meanwhile, or is ending, needs no place; and whoever has the number by now is not ours to move. */
static int move_one(pid_t pid, int into)
{
  char word[16];
  int length = snprintf(word, sizeof word, "%d", pid);
  return RETRY_INTR(write(into, word, (size_t)length)) < 0 && errno != ESRCH && errno != EACCES ? -1 : 0;
}

/*
 * A number that was listed can be another process's when it is written. So the file is opened by an id that may write to
 * nothing but what the container's own processes are moved between: the kernel asks for the rights of whoever opened it
 * (Linux 5.16), on whatever lies above both the place of the very process it found and its new one.
 */
static int open_for_own(const struct cgroup_place *place, uid_t owner, struct err *err)
{
  if (fchownat(place->dir, "cgroup.procs", owner, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0 ||
      fchownat(place->dir, MAIN "/cgroup.procs", owner, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0)
    return err_sys(err, STAGE, "cgroup.procs of the container");
  /* With the id go the capabilities that would open everything. */
  (void)syscall(SYS_setfsuid, owner);
  int into = RETRY_INTR(openat(place->dir, MAIN "/cgroup.procs", O_WRONLY | O_CLOEXEC));
  int failure = errno;
  (void)syscall(SYS_setfsuid, 0);
  errno = failure;
  return into < 0 ? err_sys(err, STAGE, "open cgroup.procs of " MAIN) : into;
}

static void close_for_own(const struct cgroup_place *place)
{
  (void)fchownat(place->dir, "cgroup.procs", 0, (gid_t)-1, AT_SYMLINK_NOFOLLOW);
  (void)fchownat(place->dir, MAIN "/cgroup.procs", 0, (gid_t)-1, AT_SYMLINK_NOFOLLOW);
}

/* A process whose main thread has ended is listed where that ended, wherever its other threads are. -1 with errno. */
static ssize_t threads_in(int dir)
{
  char text[16];
  return fd_read_at(dir, "cgroup.threads", text, sizeof text);
}

/* v2 gives controllers to children only where no process lives beside them (cgroup-v2.rst, "No Internal Process
   Constraint"), so the container's own move into a leaf first. The init of a machine sees to that itself. */
static int split(struct cgroup *cgroup, const struct cgroup_place *place, bool machine, struct err *err)
{
  if (machine || cgroup->split)
    return 0;
  if (mkdirat(place->dir, MAIN, 0755) < 0 && errno != EEXIST)
    return err_sys(err, STAGE, "mkdir " MAIN);
  cleanup_close int into = open_for_own(place, self.id_base, err);
  ssize_t left = 1;
  int moved = into;
  for (int pass = 0; moved >= 0 && pass < MOST_PASSES && left > 0; pass++) {
    moved = cgroup_each_process(place->dir, move_one, into);
    left = threads_in(place->dir);
  }
  int failure = errno;
  close_for_own(place);
  errno = failure;
  if (into < 0)
    return -1;
  if (moved < 0)
    return err_sys(err, STAGE, "move the container's processes to " MAIN);
  if (left < 0)
    return err_sys(err, STAGE, "read cgroup.threads of the container");
  if (left > 0)
    return err_set(err, EBUSY, STAGE, "its processes multiply faster than they can be moved to " MAIN);
  cgroup->split = true;
  return 0;
}

static int enable(const struct cgroup_place *place, uint32_t controllers, struct err *err)
{
  static const struct {
    uint32_t bit;
    const char *word;
  } known[] = { { BERTH_CONTROLLER_CPU, "+cpu" }, { BERTH_CONTROLLER_MEMORY, "+memory" }, { BERTH_CONTROLLER_PIDS, "+pids" } };
  for (unsigned i = 0; i < sizeof known / sizeof *known; i++)
    if ((controllers & known[i].bit) != 0 && fd_write_at(place->dir, "cgroup.subtree_control", known[i].word) < 0)
      return err_sys(err, STAGE, "%s in cgroup.subtree_control of the container", known[i].word);
  return 0;
}

/* What the container has, its own processes keep when they get a sibling: its weight, and its protected memory, which the
   kernel bounds by the parent's. A kernel or a mount that has neither needs neither. */
static void keep_share(const struct cgroup_place *place, int leaf, uint32_t controllers)
{
  char weight[16];
  cleanup_close int own = openat(place->dir, MAIN, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (own < 0)
    return;
  if ((controllers & BERTH_CONTROLLER_CPU) != 0 && fd_read_at(place->dir, "cpu.weight", weight, sizeof weight) > 0)
    (void)fd_write_at(own, "cpu.weight", weight);
  if ((controllers & BERTH_CONTROLLER_MEMORY) != 0) {
    (void)fd_write_at(own, "memory.low", "max");
    (void)fd_write_at(leaf, "memory.low", "max");
  }
}

/* The next leaf of a directory, open, and its name; or -1. */
static int next_leaf(struct fd_entries *entries, const char **name)
{
  for (const struct dirent *entry; (entry = fd_entries_next(entries)) != NULL;) {
    if (strncmp(entry->d_name, LEAF, sizeof LEAF - 1) != 0)
      continue;
    int leaf = RETRY_INTR(openat(entries->fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    *name = entry->d_name;
    if (leaf >= 0)
      return leaf;
  }
  return -1;
}

/* Where something lives in it, it stays and goes on counting. */
static void remove_leaf(struct cgroup *cgroup, const struct cgroup_place *place, const char *name, uint64_t kills)
{
  if (unlinkat(place->dir, name, AT_REMOVEDIR) == 0)
    cgroup->oom_below += kills;
}

static uint64_t kills_in(const struct cgroup_place *place, int leaf)
{
  return (place->controllers & BERTH_CONTROLLER_MEMORY) != 0 ? cgroup_kills_in(leaf, place->version) : 0;
}

/* Left by programs that left processes behind, which have ended by now. */
static void sweep(struct cgroup *cgroup, const struct cgroup_place *place)
{
  struct fd_entries entries;
  const char *name;
  fd_entries_open(&entries, place->dir);
  for (int leaf; (leaf = next_leaf(&entries, &name)) >= 0; fd_close(&leaf))
    if (!exec_is_live((uint32_t)strtoul(name + sizeof LEAF - 1, NULL, 10)))
      remove_leaf(cgroup, place, name, kills_in(place, leaf));
}

uint64_t exec_cgroup_kills(const struct cgroup *cgroup, const struct cgroup_place *place)
{
  uint64_t kills = cgroup->oom_below;
  struct fd_entries entries;
  const char *name;
  if (!cgroup->leaves)
    return kills;
  fd_entries_open(&entries, place->dir);
  for (int leaf; (leaf = next_leaf(&entries, &name)) >= 0; fd_close(&leaf))
    kills += kills_in(place, leaf);
  return kills;
}

static int create_in(struct exec_cgroup *leaf, const struct spec *wanted, uint32_t index, bool machine,
                     struct cgroup *cgroup, unsigned at, struct err *err)
{
  const struct cgroup_place *place = &cgroup->places[at];
  char name[32];
  name_of(leaf->id, name);
  if (place->version == 2 && (split(cgroup, place, machine, err) < 0 ||
                              enable(place, spec_hierarchy(wanted, index)->controllers, err) < 0))
    return -1;
  if (mkdirat(place->dir, name, 0755) < 0)
    return err_sys(err, STAGE, "mkdir %s", name);
  cgroup->leaves = true;
  leaf->dirs[at] = RETRY_INTR(openat(place->dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (leaf->dirs[at] < 0)
    return err_sys(err, STAGE, "open %s", name);
  if (place->version == 2)
    keep_share(place, leaf->dirs[at], spec_hierarchy(wanted, index)->controllers);
  return cgroup_write(leaf->dirs[at], wanted, index, err);
}

int exec_cgroup_create(struct exec_cgroup *leaf, const struct spec *wanted, const struct spec *container,
                       struct cgroup *cgroup, struct err *err)
{
  for (unsigned i = 0; i < cgroup->count && wanted->header->hierarchies.count > 0; i++)
    sweep(cgroup, &cgroup->places[i]);
  for (uint32_t index = 0; index < wanted->header->hierarchies.count; index++) {
    const char *path = spec_text(wanted, spec_hierarchy(wanted, index)->path);
    unsigned at = 0;
    while (at < cgroup->count && strcmp(spec_text(container, spec_hierarchy(container, at)->path), path) != 0)
      at++;
    if (at == cgroup->count || leaf->dirs[at] >= 0)
      return err_set(err, EINVAL, STAGE, "%.150s is none of the container's hierarchies", path);
    leaf->wanted = true;
    if (create_in(leaf, wanted, index, spec_is_machine(container), cgroup, at, err) < 0)
      return -1;
  }
  return 0;
}

void exec_cgroup_use(const struct exec_cgroup *leaf, struct cgroup *cgroup)
{
  for (unsigned i = 0; i < cgroup->count; i++)
    if (leaf->dirs[i] >= 0)
      cgroup->places[i].dir = leaf->dirs[i];
}

int exec_cgroup_clone_fd(const struct exec_cgroup *leaf, const struct cgroup *cgroup)
{
  for (unsigned i = 0; i < cgroup->count; i++)
    if (cgroup->places[i].version == 2)
      return leaf->dirs[i];
  return -1;
}

uint64_t exec_cgroup_remove(struct exec_cgroup *leaf, struct cgroup *cgroup)
{
  uint64_t kills = 0;
  char name[32];
  if (!leaf->wanted)
    return 0;
  name_of(leaf->id, name);
  for (unsigned i = 0; i < cgroup->count; i++) {
    const struct cgroup_place *place = &cgroup->places[i];
    if (leaf->dirs[i] < 0)
      continue;
    uint64_t here = kills_in(place, leaf->dirs[i]);
    fd_close(&leaf->dirs[i]);
    remove_leaf(cgroup, place, name, here);
    kills += here;
  }
  leaf->wanted = false;
  return kills;
}
