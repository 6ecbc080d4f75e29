/*
 * Obeys lines on stdin, so that a benchmark can interleave it with others; answers one line each.
 *
 *   run VARIANT          one start: "EXIT_US REMOVED_US WAIT_STATUS"
 *   rate COUNT VARIANT   starts and removals one after the other: "TOTAL_US FAILED"
 *   hold                 starts one and leaves it running: "START_US"
 *   release              kills and removes all that are held: "TOTAL_US"
 *   spawn ARGS           vfork and exec of another program, words separated by 0x1f: "EXIT_US WAIT_STATUS"
 *
 * Arguments: LAYER STATE_DIR CGROUP_PARENT ID_BASE FIRST_SERIAL HIERARCHY... -- PROGRAM ARGS...
 * with HIERARCHY as PATH:VERSION:CONTROLLERS.
 */
#include "floor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_HELD 4096

static struct container held[MAX_HELD];
static unsigned held_count;
static unsigned serial;

static int once(const struct floor *floor, unsigned variant, uint64_t *exit_us)
{
  struct container container = { .serial = serial++, .variant = variant };
  container_start(floor, &container);
  int status = container_wait(&container);
  *exit_us = now_us() - container.begin_us;
  container_remove(floor, &container);
  return status;
}

static void run(const struct floor *floor, unsigned variant)
{
  uint64_t begin = now_us(), exit_us;
  int status = once(floor, variant, &exit_us);
  (void)printf("%" PRIu64 " %" PRIu64 " %d\n", exit_us, now_us() - begin, status);
}

static void rate(const struct floor *floor, unsigned count, unsigned variant)
{
  uint64_t begin = now_us(), exit_us;
  unsigned failed = 0;
  for (unsigned i = 0; i < count; i++)
    failed += once(floor, variant, &exit_us) != 0;
  (void)printf("%" PRIu64 " %u\n", now_us() - begin, failed);
}

static void hold(const struct floor *floor)
{
  if (held_count == MAX_HELD) {
    (void)printf("full\n");
    return;
  }
  struct container *container = &held[held_count++];
  *container = (struct container){ .serial = serial++ };
  container_start(floor, container);
  (void)printf("%" PRIu64 "\n", now_us() - container->begin_us);
}

static void release(const struct floor *floor)
{
  uint64_t begin = now_us();
  for (unsigned i = 0; i < held_count; i++)
    (void)kill(held[i].pid, SIGKILL);
  for (unsigned i = 0; i < held_count; i++)
    (void)container_wait(&held[i]);
  for (unsigned i = 0; i < held_count; i++)
    container_remove(floor, &held[i]);
  held_count = 0;
  (void)printf("%" PRIu64 "\n", now_us() - begin);
}

static void spawn(char *words)
{
  char *argv[256];
  unsigned count = 0;
  for (char *word = strtok(words, "\x1f"); word != NULL && count < 255; word = strtok(NULL, "\x1f"))
    argv[count++] = word;
  argv[count] = NULL;
  (void)lseek(3, 0, SEEK_SET);
  uint64_t begin = now_us();
  pid_t pid = vfork();
  if (pid == 0) {
    /* What a peer prints is kept for the error message. */
    (void)dup2(2, 1);
    (void)execvp(argv[0], argv);
    _exit(127);
  }
  int status = -1;
  if (pid > 0)
    (void)waitpid(pid, &status, 0);
  (void)printf("%" PRIu64 " %d\n", now_us() - begin, status);
}

static void add_hierarchy(struct floor *floor, char *text)
{
  struct hierarchy *hierarchy = &floor->hierarchies[floor->hierarchy_count++];
  hierarchy->path = strtok(text, ":");
  const char *version = strtok(NULL, ":");
  const char *controllers = strtok(NULL, ":");
  hierarchy->version = version != NULL ? atoi(version) : 2;
  if (controllers == NULL)
    return;
  /* "cpuacct" is another controller than "cpu". */
  hierarchy->cpu = strcmp(controllers, "cpu") == 0 || strncmp(controllers, "cpu,", 4) == 0;
  hierarchy->memory = strstr(controllers, "memory") != NULL;
  hierarchy->pids = strstr(controllers, "pids") != NULL;
}

int main(int argc, char **argv)
{
  static struct floor floor;
  int at = 6;
  if (argc < 8) {
    (void)fprintf(stderr, "floor: too few arguments\n");
    return 2;
  }
  floor.layer = argv[1];
  floor.state = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (floor.state < 0)
    die(argv[2]);
  floor.parent = argv[3];
  floor.id_base = (uint32_t)strtoul(argv[4], NULL, 10);
  serial = (unsigned)strtoul(argv[5], NULL, 10);
  for (; at < argc && strcmp(argv[at], "--") != 0 && floor.hierarchy_count < MAX_HIERARCHIES; at++)
    add_hierarchy(&floor, argv[at]);
  floor.argv = argv + at + 1;
  (void)umask(0);
  (void)setvbuf(stdout, NULL, _IOLBF, 0);
  static char line[16384];
  while (fgets(line, sizeof line, stdin) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    unsigned first = 0, second = 0;
    if (sscanf(line, "run %u", &first) == 1)
      run(&floor, first);
    else if (sscanf(line, "rate %u %u", &first, &second) == 2)
      rate(&floor, first, second);
    else if (strcmp(line, "hold") == 0)
      hold(&floor);
    else if (strcmp(line, "release") == 0)
      release(&floor);
    else if (strncmp(line, "spawn ", 6) == 0)
      spawn(line + 6);
    else
      (void)printf("what?\n");
  }
  release(&floor);
  return 0;
}
