/*
 * Linked into the sanitized supervisor. Init has no stderr, no file system of the host and soon no spare descriptor, so
 * what the sanitizers print goes into a file that was mapped before all of that: it survives pivot_root, close_range and
 * the seccomp filter, and is shared with every fork. The file starts with the number of bytes that were used.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct reports {
  _Atomic uint64_t used;
  char text[];
};

static struct reports *reports;
static size_t room;

const char *__asan_default_options(void);
const char *__ubsan_default_options(void);
void __sanitizer_on_print(const char *text);

/* No symbolizer can be started from in there; addresses are turned into lines by whoever reads the file. */
const char *__asan_default_options(void)
{
  return "symbolize=0:abort_on_error=1:detect_stack_use_after_return=1:strict_string_checks=1:detect_leaks=0";
}

const char *__ubsan_default_options(void)
{
  return "print_stacktrace=1:symbolize=0";
}

void __sanitizer_on_print(const char *text)
{
  if (reports == NULL)
    return;
  size_t length = strlen(text);
  uint64_t at = atomic_fetch_add(&reports->used, length);
  if (at + length <= room)
    memcpy(reports->text + at, text, length);
}

/* So that a test can see that faults do arrive: a supervisor without a word in the file must mean something. */
static void provoke(const char *what)
{
  volatile char bytes[8] = { 0 };
  volatile int number = INT32_MAX;
  volatile char *volatile end = bytes + sizeof bytes;
  if (strcmp(what, "--provoke-address") == 0)
    *end = 1;
  if (strcmp(what, "--provoke-undefined") == 0)
    number = number + 1;
}

__attribute__((constructor)) static void open_reports(int argc, char **argv)
{
  int fd = open(BERTH_SANITIZER_REPORTS, O_RDWR | O_CLOEXEC);
  struct stat info;
  if (fd < 0)
    return;
  if (fstat(fd, &info) == 0 && (size_t)info.st_size > sizeof *reports) {
    void *mapped = mmap(NULL, (size_t)info.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED) {
      reports = mapped;
      room = (size_t)info.st_size - sizeof *reports;
    }
  }
  (void)close(fd);
  if (argc == 2)
    provoke(argv[1]);
}
