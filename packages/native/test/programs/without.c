/*
 * without NUMBER[,NUMBER…] PROGRAM [ARG …]: runs a program for which these system calls do not exist, as on a kernel that
 * lacks them: ENOSYS, by a filter (seccomp(2)) that everything it starts inherits.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOST 16

int main(int argc, char **argv)
{
  struct sock_filter program[2 * MOST + 2] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)) };
  unsigned short length = 1;
  if (argc < 3)
    return fprintf(stderr, "usage: without NUMBER[,NUMBER...] PROGRAM [ARG ...]\n"), 2;
  for (char *at = argv[1]; *at != '\0' && length < 2 * MOST;) {
    unsigned number = (unsigned)strtoul(at, &at, 10);
    if (*at == ',')
      at++;
    program[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1);
    program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
  }
  program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog filter = { .len = length, .filter = program };
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) < 0)
    return perror("seccomp"), 1;
  execv(argv[2], argv + 2);
  return perror(argv[2]), 1;
}
