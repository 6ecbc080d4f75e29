/*
 * How long the root file system of one container takes, in the supervisor's own code: directories for what it writes, an
 * id-mapped clone of each layer, and the overlay. Beside it what mount(2) takes for the same layers without any of that.
 * mount SPEC STATE ROUNDS → two lines of microseconds.
 */
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../packages/native/src/supervisor/rootfs.c"
#include "../../packages/native/src/supervisor/userns.h"

#undef main

static double now_us(void)
{
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static _Noreturn void fail(const char *what)
{
  perror(what);
  exit(1);
}

/* A user namespace as a container has one. */
static int make_userns(uint32_t id_base, struct err *err)
{
  pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
  if (pid < 0)
    fail("clone");
  if (pid == 0)
    for (;;)
      (void)pause();
  int userns = userns_map(pid, id_base, err);
  (void)kill(pid, SIGKILL);
  (void)waitpid(pid, NULL, 0);
  return userns;
}

static int enter(int state, const char *name)
{
  if (mkdirat(state, name, 0755) < 0)
    fail(name);
  return openat(state, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static double classic(const struct spec *spec, int dir)
{
  char options[PATH_MAX * 4] = "lowerdir=";
  for (uint32_t i = 0; i < spec->header->layers.count; i++) {
    strncat(options, i == 0 ? "" : ":", sizeof options - strlen(options) - 1);
    strncat(options, spec_string(spec, spec->header->layers, i), sizeof options - strlen(options) - 1);
  }
  strncat(options, ",upperdir=upper,workdir=work", sizeof options - strlen(options) - 1);
  if (fchdir(dir) < 0)
    fail("chdir");
  double begin = now_us();
  if (mkdir("upper", 0755) < 0 || mkdir("work", 0755) < 0 || mkdir("merged", 0755) < 0 ||
      mount("overlay", "merged", "overlay", 0, options) < 0)
    fail("mount");
  double took = now_us() - begin;
  if (umount2("merged", MNT_DETACH) < 0)
    fail("umount");
  return took;
}

int main(int argc, char **argv)
{
  static unsigned char bytes[1 << 20];
  struct spec spec;
  struct err err = { 0 };
  if (argc != 4)
    return 2;
  int file = open(argv[1], O_RDONLY | O_CLOEXEC);
  ssize_t size = file < 0 ? -1 : read(file, bytes, sizeof bytes);
  if (size < 0 || spec_decode(&spec, bytes, (size_t)size, &err) < 0)
    fail(argv[1]);
  int userns = make_userns(spec.header->id_base, &err);
  if (userns < 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
    fail("prepare");
  /* Of this mount namespace: an overlay has its upper directory nowhere else. */
  int state = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (state < 0)
    fail(argv[2]);
  for (long round = 0; round < atol(argv[3]); round++) {
    char name[32];
    (void)snprintf(name, sizeof name, "own-%ld", round);
    int dir = enter(state, name);
    double begin = now_us();
    int mounted = root_prepare(&spec, dir, userns, &err);
    double took = now_us() - begin;
    if (mounted < 0) {
      (void)fprintf(stderr, "%s: %s\n", err.stage, err.detail);
      return 1;
    }
    (void)close(mounted);
    (void)close(dir);
    (void)snprintf(name, sizeof name, "plain-%ld", round);
    dir = enter(state, name);
    printf("%.1f %.1f\n", took, classic(&spec, dir));
    (void)close(dir);
  }
  return 0;
}
