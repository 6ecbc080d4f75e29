/*
 * What a container can do to its limits, as one static program inside it:
 *
 *   spin            uses a CPU for ever
 *   hold BYTES      takes memory, says "holding", waits
 *   fork COUNT      starts children that wait, says how many there are and why no more
 *   headless        its main thread ends, another says so and waits
 *   pulse           sleeps and uses a CPU for 8 ms, in turns
 *   await FILE ...  waits until the file exists, then does the rest
 *   cpus            says which processors it may run on
 *   huge COUNT      maps huge pages of 2 MiB one by one and touches them, says how many it got
 *   write FILE MS   writes 4 KiB blocks past the page cache for so long, says how many
 *   read FILE MS    the same with reads
 *   pour FILE       writes such blocks for ever, and a point for every 32 of them
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int hold(size_t bytes)
{
  char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return 1;
  memset(memory, 1, bytes);
  puts("holding");
  for (;;)
    pause();
}

static int fork_many(long count)
{
  long born = 0;
  while (born < count) {
    pid_t pid = fork();
    if (pid < 0)
      break;
    if (pid == 0)
      for (;;)
        pause();
    born++;
  }
  printf("%ld %s\n", born, born < count ? strerror(errno) : "all");
  for (;;)
    pause();
}

static void *survive(void *unused)
{
  char state[256];
  do {
    int fd = open("/proc/self/stat", O_RDONLY);
    ssize_t size = read(fd, state, sizeof state - 1);
    state[size < 0 ? 0 : size] = '\0';
    close(fd);
  } while (strstr(state, ") Z ") == NULL);
  puts("headless");
  for (;;)
    pause();
  return unused;
}

static int headless(void)
{
  pthread_t thread;
  if (pthread_create(&thread, NULL, survive, NULL) != 0)
    return 1;
  return (int)syscall(SYS_exit, 0);
}

static int cpus(void)
{
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) < 0)
    return 1;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
    if (CPU_ISSET(cpu, &set))
      printf("%d\n", cpu);
  return 0;
}

static int huge(long count)
{
  long got = 0;
  for (; got < count; got++) {
    char *page = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    if (page == MAP_FAILED)
      break;
    *page = 1;
  }
  printf("%ld %s\n", got, got < count ? strerror(errno) : "all");
  for (;;)
    pause();
}

static long now_ms(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int pulse(void)
{
  for (;;) {
    usleep(60000);
    for (long end = now_ms() + 8; now_ms() < end;)
      ;
  }
}

static int transfer(const char *file, long ms, int writing)
{
  char *block;
  int fd = open(file, (writing ? O_WRONLY : O_RDONLY) | O_DIRECT);
  if (fd < 0 || posix_memalign((void **)&block, 4096, 4096) != 0)
    return perror(file), 1;
  memset(block, 1, 4096);
  long done = 0;
  for (long end = now_ms() + ms; ms < 0 || now_ms() < end; done++) {
    if (ms < 0 && done % 32 == 31)
      putchar('.');
    off_t at = (off_t)(done % 512) * 4096;
    if ((writing ? pwrite(fd, block, 4096, at) : pread(fd, block, 4096, at)) != 4096)
      return perror("transfer"), 1;
  }
  printf("%ld\n", done);
  return 0;
}

int main(int argc, char **argv)
{
  const char *what = argc > 1 ? argv[1] : "";
  setvbuf(stdout, NULL, _IONBF, 0);
  if (strcmp(what, "await") == 0 && argc > 3) {
    while (access(argv[2], F_OK) < 0)
      usleep(10000);
    argv[2] = argv[0];
    return main(argc - 2, argv + 2);
  }
  if (strcmp(what, "pulse") == 0)
    return pulse();
  if (strcmp(what, "spin") == 0)
    for (;;)
      __asm__ volatile("");
  if (strcmp(what, "hold") == 0 && argc == 3)
    return hold(strtoul(argv[2], NULL, 10));
  if (strcmp(what, "fork") == 0 && argc == 3)
    return fork_many(atol(argv[2]));
  if (strcmp(what, "headless") == 0)
    return headless();
  if (strcmp(what, "cpus") == 0)
    return cpus();
  if (strcmp(what, "huge") == 0 && argc == 3)
    return huge(atol(argv[2]));
  if (strcmp(what, "write") == 0 && argc == 4)
    return transfer(argv[2], atol(argv[3]), 1);
  if (strcmp(what, "pour") == 0 && argc == 3)
    return transfer(argv[2], -1, 1);
  if (strcmp(what, "read") == 0 && argc == 4)
    return transfer(argv[2], atol(argv[3]), 0);
  return 2;
}
