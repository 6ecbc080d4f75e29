/*
 * launch SPEC STATE PROGRAM ARG...: executes PROGRAM with the descriptors that a supervisor is born with, as the addon
 * does it, so that a supervisor can run under a tool. Its exit status is that of PROGRAM.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../include/control.h"

static int sealed(const char *path)
{
  char buffer[65536];
  int from = open(path, O_RDONLY | O_CLOEXEC);
  int to = memfd_create("spec", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  ssize_t size;
  while ((size = read(from, buffer, sizeof buffer)) > 0)
    if (write(to, buffer, (size_t)size) != size)
      return -1;
  return size < 0 || fcntl(to, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) < 0 ? -1 : to;
}

int main(int argc, char **argv)
{
  int pair[2];
  if (argc < 4)
    return 64;
  int state = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int lock = openat(state, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  int spec = sealed(argv[1]);
  if (state < 0 || lock < 0 || spec < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
    return 74;
  pid_t pid = fork();
  if (pid == 0) {
    const int high[] = { fcntl(spec, F_DUPFD, 20), fcntl(state, F_DUPFD, 20), fcntl(lock, F_DUPFD, 20),
                         fcntl(pair[1], F_DUPFD, 20) };
    for (int i = 0; i < 4; i++)
      if (high[i] < 0 || dup2(high[i], BERTH_FD_SPEC + i) < 0 || close(high[i]) < 0)
        _exit(74);
    (void)execv(argv[3], argv + 3);
    _exit(127);
  }
  int status = 0;
  /* What it tells its first client goes nowhere; the files tell the same. */
  return pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ? 70 : WEXITSTATUS(status);
}
