/*
 * v2-features CGROUP: measures, inside an own cgroup v2, what only v2 has. One line each: name, value, unit, what it means.
 */
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

static char top[512];

static double now_us(void)
{
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void need(int ok, const char *what)
{
  if (!ok) {
    perror(what);
    exit(1);
  }
}

static int enter(const char *name)
{
  char path[600];
  (void)snprintf(path, sizeof path, "%s/%s", top, name);
  need(mkdir(path, 0755) == 0, path);
  int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  need(dir >= 0, path);
  return dir;
}

static void put(int dir, const char *file, const char *text)
{
  int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);
  need(fd >= 0 && write(fd, text, strlen(text)) > 0 && close(fd) == 0, file);
}

static pid_t clone_into(int dir)
{
  struct clone_args args = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)dir };
  return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

static void leave(int dir, const char *name)
{
  char path[600];
  while (waitpid(-1, NULL, 0) > 0) {
  }
  (void)close(dir);
  (void)snprintf(path, sizeof path, "%s/%s", top, name);
  for (int i = 0; i < 1000 && rmdir(path) < 0; i++)
    (void)usleep(1000);
}

static void joins(void)
{
  enum { ROUNDS = 50 };
  int dir = enter("joins");
  double began = now_us();
  for (int i = 0; i < ROUNDS; i++) {
    pid_t pid = clone_into(dir);
    need(pid >= 0, "clone3");
    if (pid == 0)
      _exit(0);
    (void)waitpid(pid, NULL, 0);
  }
  double into = (now_us() - began) / ROUNDS;
  began = now_us();
  for (int i = 0; i < ROUNDS; i++) {
    pid_t pid = fork();
    if (pid == 0)
      _exit((put(dir, "cgroup.procs", "0"), 0));
    (void)waitpid(pid, NULL, 0);
  }
  printf("CLONE_INTO_CGROUP\t%.0f\tus\tclone, exit and wait; %.0f us with a write to cgroup.procs\n", into,
         (now_us() - began) / ROUNDS);
  leave(dir, "joins");
}

static void kills(void)
{
  enum { COUNT = 200 };
  int dir = enter("kills");
  for (int i = 0; i < COUNT; i++) {
    pid_t pid = clone_into(dir);
    need(pid >= 0, "clone3");
    if (pid == 0)
      for (;;)
        (void)pause();
  }
  put(dir, "cgroup.freeze", "1");
  double began = now_us();
  put(dir, "cgroup.kill", "1");
  while (waitpid(-1, NULL, 0) > 0) {
  }
  printf("cgroup.kill\t%.1f\tms\t%d processes, frozen, until all are reaped\n", (now_us() - began) / 1e3, COUNT);
  leave(dir, "kills");
}

static void look(int dir, const char *file, char *text, size_t size)
{
  int fd = openat(dir, file, O_RDONLY | O_CLOEXEC);
  ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);
  need(length > 0 && close(fd) == 0, file);
  text[length] = '\0';
}

static uint64_t events(int dir, const char *key)
{
  char text[512];
  look(dir, "memory.events", text, sizeof text);
  const char *at = strstr(text, key);
  return at == NULL ? 0 : strtoull(at + strlen(key), NULL, 10);
}

static void pressure(void)
{
  int dir = enter("pressure");
  put(dir, "memory.high", "8388608");
  /* 1 ms of stall in any 500 ms. */
  int trigger = openat(dir, "memory.pressure", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  static const char when[] = "some 1000 500000";
  need(trigger >= 0 && write(trigger, when, sizeof when) > 0, "memory.pressure");
  pid_t pid = clone_into(dir);
  need(pid >= 0, "clone3");
  if (pid == 0) {
    char *memory = mmap(NULL, 24 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; memory != MAP_FAILED; i = (i + 4096) % (24 * MIB))
      memory[i] = 1;
    _exit(1);
  }
  double began = now_us();
  struct pollfd wait = { .fd = trigger, .events = POLLPRI };
  int fired = poll(&wait, 1, 60000);
  double took = (now_us() - began) / 1e3;
  printf("memory.high\t%llu\tevents\t24 MiB wanted, throttled at 8 MiB, %llu OOM kills\n",
         (unsigned long long)events(dir, "high "), (unsigned long long)events(dir, "oom_kill "));
  char counted[512];
  look(dir, "memory.pressure", counted, sizeof counted);
  counted[strcspn(counted, "\n")] = '\0';
  const int told = fired == 1 && (wait.revents & POLLPRI) != 0;
  printf("PSI trigger\t%.0f\tms\tuntil poll(2) told of 1 ms of stall%s%s\n", took, told ? "" : ": NEVER, of ",
         told ? "" : counted);
  put(dir, "cgroup.kill", "1");
  (void)close(trigger);
  leave(dir, "pressure");
}

int main(int argc, char **argv)
{
  if (argc != 2)
    return 64;
  (void)snprintf(top, sizeof top, "%s", argv[1]);
  (void)setvbuf(stdout, NULL, _IONBF, 0);
  joins();
  kills();
  pressure();
  return 0;
}
