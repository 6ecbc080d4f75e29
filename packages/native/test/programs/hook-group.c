/*
 * hook-group SPEC: runs the hooks of a start, and counts how often a group of processes was killed, and how often that was
 * after its leader had been reaped, when the number could have been another group's.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
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
  hook_run(&spec, BERTH_HOOK_CREATE_RUNTIME, "{}", 2, done);
  while (!ended)
    loop_once(-1);
  return printf("%d %d %s\n", kills, late, failure.stage[0] == '\0' ? "-" : failure.detail) < 0;
}
