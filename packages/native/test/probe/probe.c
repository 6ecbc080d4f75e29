/* Reads what is known from outside (key=value arguments), runs every group, counts. */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct outside outside;
static struct {
  unsigned attempts, findings;
} *counts; /* shared with the children that try what may end them */

static void print_escaped(const char *text)
{
  for (; *text != '\0'; text++) {
    unsigned char c = (unsigned char)*text;
    if (c == '"' || c == '\\')
      (void)printf("\\%c", c);
    else if (c < 0x20 || c > 0x7e)
      (void)printf("\\u%04x", c);
    else
      (void)putchar(c);
  }
}

void finding(const char *probe, const char *detail, ...)
{
  char text[1024];
  va_list list;
  va_start(list, detail);
  (void)vsnprintf(text, sizeof text, detail, list);
  va_end(list);
  counts->findings++;
  (void)printf("{\"probe\":\"%s\",\"detail\":\"", probe);
  print_escaped(text);
  (void)printf("\"}\n");
  (void)fflush(stdout);
}

void attempt(void)
{
  counts->attempts++;
}

void must_refuse(const char *probe, const char *what, long result)
{
  int error = errno;
  attempt();
  if (result < 0 && (error == EPERM || error == EACCES || error == ENOSYS))
    return;
  finding(probe, "%s: %s", what, result < 0 ? strerrorname_np(error) : "allowed");
}

long slurp(const char *path, char *buffer, size_t size)
{
  attempt();
  int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (fd < 0)
    return -1;
  long total = 0;
  while ((size_t)total < size - 1) {
    ssize_t more = read(fd, buffer + total, size - 1 - (size_t)total);
    if (more <= 0)
      break;
    total += more;
  }
  (void)close(fd);
  buffer[total] = '\0';
  return total;
}

void in_child(const char *what, void (*body)(void))
{
  pid_t pid = fork();
  if (pid == 0) {
    body();
    (void)fflush(stdout);
    _exit(0);
  }
  int status = 0;
  if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
    finding("ended", "%s: status 0x%x", what, (unsigned)status);
}

int main(int argc, char **argv)
{
  counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (counts == MAP_FAILED)
    return 71;
  for (int i = 1; i < argc; i++) {
    const char *value = strchr(argv[i], '=');
    if (value == NULL)
      return 64;
    size_t name = (size_t)(value - argv[i]);
    value++;
    if (strncmp(argv[i], "canary", name) == 0 && outside.canary_count < 16)
      outside.canaries[outside.canary_count++] = value;
    else if (strncmp(argv[i], "abstract", name) == 0)
      outside.abstract_socket = value;
    else if (strncmp(argv[i], "port", name) == 0)
      outside.tcp_port = atoi(value);
    else if (strncmp(argv[i], "shm", name) == 0)
      outside.shm_key = atoi(value);
    else if (strncmp(argv[i], "mqueue", name) == 0)
      outside.mqueue = value;
    else if (strncmp(argv[i], "namespaces", name) == 0)
      outside.namespaces = value;
    else
      return 64;
  }
  in_child("privileges", probe_self);
  in_child("system calls", probe_calls);
  in_child("network", probe_network);
  in_child("others", probe_others);
  in_child("files", probe_files);
  (void)printf("{\"probe\":\"end\",\"attempts\":%u,\"findings\":%u}\n", counts->attempts, counts->findings);
  return 0;
}
