/*
 * hook-group SPEC: runs the hooks of a start, and counts how often a group of processes was killed, and how often that was
 * after its leader had been reaped, when the number could have been another group's.
 *
 * hook-group SPEC FREE: runs them with so many free descriptors, then with one less, and so on; a line for each: how many
 * descriptors it left open, and how it failed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

static int kills, late;
static int watched_kill(pid_t pid, int signal);

#define kill(pid, signal) watched_kill(pid, signal)
#include "../../src/supervisor/hook.c"
#undef kill

static bool ended;
static struct err failure;

static int watched_kill(pid_t pid, int signal)
{
  siginfo_t info;
  if (pid < -1) {
    kills++;
    late += waitid(P_PID, (id_t)-pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0;
  }
  return kill(pid, signal);
}

static void done(const struct err *err)
{
  ended = true;
  if (err != NULL)
    failure = *err;
}

static void run_all(const struct spec *spec)
{
  ended = false;
  failure = (struct err){ .number = 0 };
  hook_run(spec, BERTH_HOOK_CREATE_RUNTIME, "{}", 2, done);
  while (!ended)
    loop_once(-1);
}

/* The lowest numbers are those that are open: nothing is closed but what was opened last. */
static unsigned open_ones(void)
{
  unsigned count = 0;
  DIR *dir = opendir("/proc/self/fd");
  while (dir != NULL && readdir(dir) != NULL)
    count++;
  (void)closedir(dir);
  return count - 3; /* ".", ".." and the directory itself */
}

static int exhaust(const struct spec *spec, int most)
{
  struct rlimit before;
  if (getrlimit(RLIMIT_NOFILE, &before) < 0)
    return 70;
  for (int free = most; free >= 0; free--) {
    const unsigned open = open_ones();
    const struct rlimit few = { .rlim_cur = open + (unsigned)free, .rlim_max = before.rlim_max };
    if (setrlimit(RLIMIT_NOFILE, &few) < 0)
      return 70;
    run_all(spec);
    if (setrlimit(RLIMIT_NOFILE, &before) < 0 ||
        printf("%d %s\n", (int)(open_ones() - open), failure.stage[0] == '\0' ? "-" : strerrordesc_np(failure.number)) < 0)
      return 70;
  }
  return 0;
}

int part_main(int argc, char **argv);

int part_main(int argc, char **argv)
{
  static unsigned char bytes[65536];
  struct spec spec;
  struct err err;
  int file = argc < 2 ? -1 : open(argv[1], O_RDONLY | O_CLOEXEC);
  ssize_t size = file < 0 ? -1 : read(file, bytes, sizeof bytes);
  if (size <= 0 || spec_decode(&spec, bytes, (size_t)size, &err) < 0 || loop_open(&err) < 0)
    return 70;
  if (argc > 2)
    return exhaust(&spec, atoi(argv[2]));
  run_all(&spec);
  return printf("%d %d %s\n", kills, late, failure.stage[0] == '\0' ? "-" : failure.detail) < 0;
}
