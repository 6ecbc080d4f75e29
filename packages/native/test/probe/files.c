/* /proc and /sys: everything is opened for writing, what leaked once is read, and nothing may name the host. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probe.h"

static bool is_number(const char *name)
{
  return name[0] != '\0' && strspn(name, "0123456789") == strlen(name);
}

static void look_for_canaries(const char *path)
{
  static char text[256 * 1024];
  long size = slurp(path, text, sizeof text);
  for (unsigned i = 0; size > 0 && i < outside.canary_count; i++)
    if (memmem(text, (size_t)size, outside.canaries[i], strlen(outside.canaries[i])) != NULL)
      finding("names-the-host", "%s holds \"%s\"", path, outside.canaries[i]);
}

/* Reading these waits, or is not harmless. */
static bool is_unsafe_to_read(const char *path)
{
  static const char *const names[] = { "kmsg", "kcore", "trace_pipe", "uevent", "autoprobe", "rescan", "reset" };
  const char *name = strrchr(path, '/') + 1;
  for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(name, names[i]) == 0)
      return true;
  return strncmp(path, "/sys/", 5) == 0;
}

static void try_file(const char *path)
{
  attempt();
  struct stat info;
  int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW);
  if (fd >= 0) {
    /* A mask is the null device, to which anything may be written. */
    if (fstat(fd, &info) < 0 || !S_ISCHR(info.st_mode) || info.st_rdev != 0x103)
      finding("writable", "%s", path);
    (void)close(fd);
  }
  if (!is_unsafe_to_read(path))
    look_for_canaries(path);
}

static void walk(const char *path, unsigned depth)
{
  DIR *dir = opendir(path);
  if (dir == NULL || depth > 24) {
    if (dir != NULL)
      (void)closedir(dir);
    return;
  }
  attempt();
  char probe[4096];
  (void)snprintf(probe, sizeof probe, "%s/berth-probe", path);
  if (mkdir(probe, 0700) == 0) {
    finding("writable", "a directory can be made in %s", path);
    (void)rmdir(probe);
  }
  for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
    if (entry->d_name[0] == '.' && (entry->d_name[1] == '\0' || strcmp(entry->d_name, "..") == 0))
      continue;
    if (strcmp(path, "/proc") == 0 && (is_number(entry->d_name) || strcmp(entry->d_name, "self") == 0 ||
                                       strcmp(entry->d_name, "thread-self") == 0))
      continue;
    char child[4096];
    if (snprintf(child, sizeof child, "%s/%s", path, entry->d_name) >= (int)sizeof child)
      continue;
    struct stat info;
    if (lstat(child, &info) < 0)
      continue;
    if (S_ISDIR(info.st_mode))
      walk(child, depth + 1);
    else if (!S_ISLNK(info.st_mode))
      try_file(child);
  }
  (void)closedir(dir);
}

/* Files of which nothing may be read, not even one byte. */
static void probe_leaks(void)
{
  static const char *const leaks[] = {
    "/proc/kcore",          "/proc/keys",           "/proc/timer_list",     "/proc/timer_stats",
    "/proc/sched_debug",    "/proc/latency_stats",  "/proc/interrupts",     "/proc/kmsg",
    "/proc/kpagecount",     "/proc/kpageflags",     "/proc/kpagecgroup",    "/proc/slabinfo",
    "/proc/vmallocinfo",    "/proc/pagetypeinfo",   "/proc/vmcore",         "/proc/mtd",
    "/proc/sysrq-trigger",  "/proc/1/environ",      "/proc/1/maps",         "/proc/1/mem",
    "/proc/1/auxv",         "/proc/1/stack",        "/proc/1/syscall",      "/proc/1/personality",
    "/proc/1/io",           "/proc/1/pagemap",      "/proc/1/smaps",        "/proc/self/stack",
    "/sys/kernel/vmcoreinfo", "/sys/kernel/boot_params/data", "/sys/kernel/debug/version",
    "/sys/firmware/acpi/tables/DSDT", "/sys/firmware/dmi/tables/DMI", "/sys/class/dmi/id/product_uuid",
    "/sys/class/dmi/id/product_serial", "/sys/class/dmi/id/board_serial", "/sys/class/powercap/intel-rapl:0/energy_uj",
    "/sys/devices/virtual/powercap/intel-rapl/intel-rapl:0/energy_uj", "/dev/kmsg", "/dev/mem", "/dev/port",
    "/dev/cpu/0/msr", "/sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count",
    "/sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_total_time_ms", "/sys/fs/selinux/policy",
  };
  char text[64];
  for (unsigned i = 0; i < sizeof leaks / sizeof *leaks; i++)
    if (slurp(leaks[i], text, sizeof text) > 0)
      finding("leak", "%s can be read", leaks[i]);

  static const char *const empty[] = { "/proc/acpi", "/proc/scsi", "/proc/asound", "/sys/firmware",
                                       "/sys/devices/virtual/powercap", "/sys/kernel/debug", "/sys/kernel/tracing",
                                       "/sys/kernel/security", "/sys/fs/bpf", "/sys/fs/pstore", "/sys/fs/selinux",
                                       "/sys/kernel/config", "/sys/fs/fuse/connections" };
  for (unsigned i = 0; i < sizeof empty / sizeof *empty; i++) {
    attempt();
    DIR *dir = opendir(empty[i]);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;)
      if (entry->d_name[0] != '.')
        finding("leak", "%s holds %s", empty[i], entry->d_name);
    if (dir != NULL)
      (void)closedir(dir);
  }
}

/* Addresses of the kernel: zero for whoever may not see them. */
static void probe_addresses(void)
{
  static const char *const files[] = { "/proc/kallsyms", "/proc/modules", "/proc/iomem", "/proc/ioports" };
  for (unsigned i = 0; i < sizeof files / sizeof *files; i++) {
    attempt();
    FILE *file = fopen(files[i], "re");
    char line[512];
    for (int n = 0; file != NULL && n < 5000 && fgets(line, sizeof line, file) != NULL; n++) {
      const char *at = i == 1 ? strstr(line, "0x") : line + strspn(line, " ");
      unsigned long long start = at == NULL ? 0 : strtoull(at, NULL, 16);
      if (start != 0) {
        line[strcspn(line, "\n")] = '\0';
        finding("kernel-address", "%s: %s", files[i], line);
        break;
      }
    }
    if (file != NULL)
      (void)fclose(file);
  }
}

/* What of /proc is not namespaced can be read by anybody. Which files that are is for the test to judge. */
static void probe_host_wide(void)
{
  DIR *dir = opendir("/proc");
  for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
    char path[512], text[16];
    (void)snprintf(path, sizeof path, "/proc/%s", entry->d_name);
    struct stat info;
    if (is_number(entry->d_name) || lstat(path, &info) < 0 || !S_ISREG(info.st_mode) ||
        strcmp(entry->d_name, "kmsg") == 0)
      continue;
    if (slurp(path, text, sizeof text) > 0)
      finding("host-wide", "%s", path);
  }
  if (dir != NULL)
    (void)closedir(dir);
}

void probe_files(void)
{
  walk("/proc", 0);
  walk("/sys", 0);
  probe_leaks();
  probe_addresses();
  probe_host_wide();
  static const char *const own[] = { "/proc/self/mountinfo", "/proc/self/mounts", "/proc/self/mountstats",
                                     "/proc/self/cgroup",    "/proc/self/maps",   "/proc/self/environ",
                                     "/proc/self/net/unix",  "/etc/hosts",        "/etc/hostname",
                                     "/etc/resolv.conf" };
  for (unsigned i = 0; i < sizeof own / sizeof *own; i++)
    look_for_canaries(own[i]);
}
