/*
 * LD_PRELOAD: keeps sixteen threads allocating, and says so when malloc and friends or stdio are called by a process
 * that shares this memory but is another one: the child of a vfork. A real fork copies the memory; there the flag that
 * pthread_atfork(3) sets is the child's own.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define THREADS 16

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void __libc_free(void *memory);

static atomic_int owner;

static void check(const char *name)
{
  int own = atomic_load_explicit(&owner, memory_order_relaxed);
  if (own == 0 || syscall(SYS_getpid) == own)
    return;
  const char text[] = " between vfork and exec\n";
  (void)!syscall(SYS_write, 2, name, strlen(name));
  (void)!syscall(SYS_write, 2, text, sizeof text - 1);
}

void *malloc(size_t size)
{
  check("malloc");
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
  check("calloc");
  return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
  check("realloc");
  return __libc_realloc(old, size);
}

void free(void *memory)
{
  check("free");
  __libc_free(memory);
}

int vfprintf(FILE *stream, const char *format, va_list args)
{
  static int (*real)(FILE *, const char *, va_list);
  check("vfprintf");
  if (real == NULL)
    real = (int (*)(FILE *, const char *, va_list))dlsym(RTLD_NEXT, "vfprintf");
  return real(stream, format, args);
}

int vsnprintf(char *out, size_t size, const char *format, va_list args)
{
  static int (*real)(char *, size_t, const char *, va_list);
  check("vsnprintf");
  if (real == NULL)
    real = (int (*)(char *, size_t, const char *, va_list))dlsym(RTLD_NEXT, "vsnprintf");
  return real(out, size, format, args);
}

static void *allocate(void *unused)
{
  const struct timespec pause = { .tv_nsec = 500000 };
  for (;;) {
    for (unsigned i = 1; i < 64; i++) {
      void *volatile memory = malloc(i * 97);
      free(memory);
    }
    (void)nanosleep(&pause, NULL);
  }
  return unused;
}

static void forked(void)
{
  atomic_store(&owner, (int)syscall(SYS_getpid));
}

__attribute__((constructor)) static void begin(void)
{
  forked();
  (void)pthread_atfork(NULL, NULL, forked);
  pthread_attr_t attributes;
  (void)pthread_attr_init(&attributes);
  (void)pthread_attr_setstacksize(&attributes, 65536);
  for (unsigned i = 0; i < THREADS; i++) {
    pthread_t thread;
    if (pthread_create(&thread, &attributes, allocate, NULL) != 0)
      abort();
  }
  if (setenv("BERTH_WATCHED", "1", 1) != 0)
    abort();
}
