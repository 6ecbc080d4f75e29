/* What the process itself was given: privileges, limits, descriptors, environment, namespaces. */
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "probe.h"

extern char **environ;

static void probe_status(void)
{
  static char text[16384];
  /* chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service sys_chroot setfcap */
  const unsigned long long allowed = 0x800405fb;
  if (slurp("/proc/self/status", text, sizeof text) <= 0)
    return;
  char *next = text;
  for (char *line; (line = strsep(&next, "\n")) != NULL;) {
    char *value = strchr(line, ':');
    if (value == NULL)
      continue;
    *value++ = '\0';
    value += strspn(value, " \t");
    attempt();
    if (strncmp(line, "Cap", 3) == 0) {
      unsigned long long set = strtoull(value, NULL, 16);
      bool empty = strcmp(line, "CapInh") == 0 || strcmp(line, "CapAmb") == 0;
      if ((set & ~(empty ? 0 : allowed)) != 0)
        finding("capabilities", "%s is %s", line, value);
    } else if (strcmp(line, "NoNewPrivs") == 0 && strcmp(value, "1") != 0)
      finding("privileges", "no_new_privs is %s", value);
    else if (strcmp(line, "Seccomp") == 0 && strcmp(value, "2") != 0)
      finding("privileges", "seccomp mode is %s", value);
    else if (strcmp(line, "Groups") == 0 && value[strspn(value, " ")] != '\0')
      finding("privileges", "supplementary groups %s", value);
    else if (strcmp(line, "TracerPid") == 0 && strcmp(value, "0") != 0)
      finding("privileges", "traced by %s", value);
  }
}

static void probe_capabilities(void)
{
  for (int capability = 0; capability < 64; capability++) {
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct data[2];
    attempt();
    if (syscall(SYS_capget, &header, data) < 0)
      return;
    unsigned word = (unsigned)capability / 32, bit = 1u << (capability % 32);
    if ((data[word].permitted & bit) != 0)
      continue;
    data[word].permitted |= bit;
    data[word].effective |= bit;
    /* Bits that the kernel does not know are dropped without a word, so what counts is what is there afterwards. */
    if (syscall(SYS_capset, &header, data) == 0 && syscall(SYS_capget, &header, data) == 0 &&
        (data[word].permitted & bit) != 0)
      finding("capabilities", "%d could be raised", capability);
    data[word].inheritable |= bit;
    if (syscall(SYS_capset, &header, data) == 0 && syscall(SYS_capget, &header, data) == 0 &&
        (data[word].inheritable & bit) != 0)
      finding("capabilities", "%d could be made inheritable", capability);
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) == 0)
      finding("capabilities", "%d could be made ambient", capability);
  }
  attempt();
  if (prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0)
    finding("privileges", "no_new_privs can be taken back");
}

static void probe_descriptors(void)
{
  DIR *dir = opendir("/proc/self/fd");
  for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
    int fd = atoi(entry->d_name);
    char link[64], target[256] = "";
    attempt();
    if (entry->d_name[0] == '.' || fd == dirfd(dir))
      continue;
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    (void)readlink(link, target, sizeof target - 1);
    struct stat info;
    if (fd > 2)
      finding("descriptor", "%d is %s", fd, target);
    else if (fstat(fd, &info) == 0 && !S_ISFIFO(info.st_mode) && info.st_rdev != 0x103)
      finding("descriptor", "%d is %s", fd, target);
    struct stat own;
    if (fstat(fd, &info) == 0 && S_ISCHR(info.st_mode) &&
        (stat("/dev/null", &own) < 0 || own.st_dev != info.st_dev || own.st_ino != info.st_ino))
      finding("descriptor", "%d is the null device of somebody else", fd);
  }
  if (dir != NULL)
    (void)closedir(dir);
}

static void probe_environment(void)
{
  static const char *const known[] = { "PATH=", "HOME=", "HOSTNAME=", "TERM=", "PWD=", "SHLVL=" };
  for (char **at = environ; *at != NULL; at++) {
    bool expected = false;
    attempt();
    for (unsigned i = 0; i < sizeof known / sizeof *known; i++)
      expected = expected || strncmp(*at, known[i], strlen(known[i])) == 0;
    if (!expected)
      finding("environment", "%s", *at);
  }
}

static void probe_namespaces(void)
{
  static const char *const names[] = { "user", "mnt", "pid", "net", "ipc", "uts", "cgroup" };
  for (unsigned i = 0; outside.namespaces != NULL && i < sizeof names / sizeof *names; i++) {
    char path[64], link[64] = "";
    attempt();
    (void)snprintf(path, sizeof path, "/proc/self/ns/%s", names[i]);
    if (readlink(path, link, sizeof link - 1) < 0 || strstr(outside.namespaces, link) != NULL)
      finding("namespace", "%s is the host's: %s", names[i], link);
  }
}

/* A workload may lower what it was given; nothing that presses on others may be raised. */
static void probe_limits(void)
{
  struct rlimit limit;
  attempt();
  if (getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur != 0)
    finding("limit", "core dumps are on");
  if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_max == RLIM_INFINITY)
    finding("limit", "locked memory is unlimited");
  if (getrlimit(RLIMIT_RTPRIO, &limit) == 0 && limit.rlim_max != 0)
    finding("limit", "real-time priority %lu may be had", limit.rlim_max);
  if (getrlimit(RLIMIT_NICE, &limit) == 0 && limit.rlim_max > 20)
    finding("limit", "niceness below 0 may be had");
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max = limit.rlim_max + 1;
    must_refuse("limit", "more descriptors than the hard limit", setrlimit(RLIMIT_NOFILE, &limit));
  }
  const struct sched_param fifo = { .sched_priority = 1 };
  must_refuse("limit", "SCHED_FIFO", sched_setscheduler(0, SCHED_FIFO, &fifo));
  must_refuse("limit", "SCHED_RR", sched_setscheduler(0, SCHED_RR, &fifo));
  must_refuse("limit", "nice -1", setpriority(PRIO_PROCESS, 0, -1));
  must_refuse("limit", "real-time i/o", syscall(SYS_ioprio_set, 1, 0, (1 << 13) | 0));
  int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  must_refuse("limit", "protection from the OOM killer", fd < 0 ? fd : write(fd, "-1000", 5));
  if (fd >= 0)
    (void)close(fd);
}

static void probe_identity(void)
{
  attempt();
  static const char *const files[] = { "uid_map", "gid_map", "setgroups", "projid_map", "timens_offsets", "attr/current",
                                       "loginuid" };
  for (unsigned i = 0; i < sizeof files / sizeof *files; i++) {
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/%s", files[i]);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
      if (errno != ENOENT)
        must_refuse("identity", path, -1);
      continue;
    }
    long done = write(fd, i == 2 ? "allow" : "0 0 1\n", i == 2 ? 5 : 6);
    if (done >= 0 || (errno != EPERM && errno != EINVAL && errno != EACCES))
      finding("identity", "%s: %s", path, done < 0 ? strerrorname_np(errno) : "written");
    (void)close(fd);
  }
  attempt();
  if (setresuid(70000, 70000, 70000) == 0)
    finding("identity", "became an id outside of the range");
}

void probe_self(void)
{
  probe_status();
  probe_capabilities();
  probe_descriptors();
  probe_environment();
  probe_namespaces();
  probe_limits();
  probe_identity();
}
