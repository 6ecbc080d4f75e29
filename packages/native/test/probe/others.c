/* Other processes, devices, and the old ways out of a root directory. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "probe.h"

static void probe_pids(void)
{
  DIR *dir = opendir("/proc");
  for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
    int pid = atoi(entry->d_name);
    attempt();
    if (pid > 0 && pid != 1 && pid != getpid() && pid != getppid())
      finding("process", "%d can be seen", pid);
  }
  if (dir != NULL)
    (void)closedir(dir);
  static const char *const files[] = { "exe", "root", "cwd", "fd/0", "ns/mnt", "map_files" };
  for (unsigned i = 0; i < sizeof files / sizeof *files; i++) {
    char path[64], target[64];
    attempt();
    (void)snprintf(path, sizeof path, "/proc/1/%s", files[i]);
    if (readlink(path, target, sizeof target) >= 0 || open(path, O_RDONLY | O_CLOEXEC) >= 0)
      finding("process", "%s of PID 1 can be followed", files[i]);
  }
  static const char *const writes[] = { "oom_score_adj", "mem", "clear_refs", "coredump_filter", "comm", "autogroup",
                                        "uid_map", "exe", "timerslack_ns", "attr/current" };
  for (unsigned i = 0; i < sizeof writes / sizeof *writes; i++) {
    char path[64];
    attempt();
    (void)snprintf(path, sizeof path, "/proc/1/%s", writes[i]);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    /* These two may be opened by anybody, and ask at the write. */
    bool asks_later = strcmp(writes[i], "timerslack_ns") == 0 || strcmp(writes[i], "attr/current") == 0;
    if (fd >= 0 && (!asks_later || write(fd, "50000", 5) >= 0))
      finding("process", "%s can be written", path);
    if (fd >= 0)
      (void)close(fd);
  }
  attempt();
  (void)kill(1, SIGKILL);
  (void)kill(1, SIGSTOP);
  struct sched_param usual = { 0 };
  const struct sched_param fifo = { .sched_priority = 1 };
  must_refuse("process", "real-time priority for PID 1", sched_setscheduler(1, SCHED_FIFO, &fifo));
  must_refuse("process", "nice -1 for PID 1", setpriority(PRIO_PROCESS, 1, -1));
  (void)sched_setscheduler(1, SCHED_OTHER, &usual);
}

static void probe_devices(void)
{
  static const char *const dirs[] = { "/", "/tmp", "/dev", "/dev/shm" };
  static const struct {
    unsigned type, major, minor;
  } nodes[] = { { S_IFBLK, 8, 0 }, { S_IFBLK, 254, 0 }, { S_IFBLK, 7, 0 }, { S_IFCHR, 1, 1 }, { S_IFCHR, 1, 3 },
                { S_IFCHR, 10, 229 }, { S_IFCHR, 10, 200 }, { S_IFCHR, 5, 1 } };
  for (unsigned i = 0; i < sizeof dirs / sizeof *dirs; i++)
    for (unsigned k = 0; k < sizeof nodes / sizeof *nodes; k++) {
      char path[64];
      (void)snprintf(path, sizeof path, "%s/probe-node", dirs[i]);
      int made = mknod(path, nodes[k].type | 0666, makedev(nodes[k].major, nodes[k].minor));
      must_refuse("device", "mknod", made);
      if (made == 0)
        (void)unlink(path);
    }
  static const char *const known[] = { "full", "null", "random", "tty", "urandom", "zero" };
  DIR *dir = opendir("/dev");
  for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
    struct stat info;
    bool expected = false;
    attempt();
    for (unsigned i = 0; i < sizeof known / sizeof *known; i++)
      expected = expected || strcmp(entry->d_name, known[i]) == 0;
    if (fstatat(dirfd(dir), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
        (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)) && !expected)
      finding("device", "/dev/%s", entry->d_name);
  }
  if (dir != NULL)
    (void)closedir(dir);
}

/* chroot(2), NOTES: a process whose directory lies outside of its new root may climb. It ends at the namespace's root. */
static void probe_root(void)
{
  struct stat before, after;
  attempt();
  if (stat("/", &before) < 0)
    return;
  pid_t pid = fork();
  if (pid == 0) {
    int outer = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (mkdir("/tmp/probe-root", 0700) < 0 || chroot("/tmp/probe-root") < 0 || fchdir(outer) < 0)
      _exit(0);
    for (int i = 0; i < 64; i++)
      if (chdir("..") < 0)
        _exit(0);
    if (chroot(".") < 0 || stat("/", &after) < 0)
      _exit(0);
    _exit(before.st_dev == after.st_dev && before.st_ino == after.st_ino ? 0 : 1);
  }
  int status = 0;
  if (waitpid(pid, &status, 0) != pid || status != 0)
    finding("root", "chroot led somewhere else");
  (void)rmdir("/tmp/probe-root");
  attempt();
  if (stat("/..", &after) == 0 && (before.st_dev != after.st_dev || before.st_ino != after.st_ino))
    finding("root", "/.. is another directory");
  int file = open("/tmp/probe-attr", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  must_refuse("root", "trusted xattr", fsetxattr(file, "trusted.overlay.opaque", "y", 1, 0));
  must_refuse("root", "redirect xattr", fsetxattr(file, "trusted.overlay.redirect", "/", 1, 0));
  (void)close(file);
  (void)unlink("/tmp/probe-attr");
}

void probe_others(void)
{
  probe_pids();
  probe_devices();
  probe_root();
}
