/*
 * What not every C library has: mounts and processes as descriptors (fsopen(2), pidfd_open(2)), and three words of glibc.
 * The supervisor is linked with musl, which starts without asking the processor what it can: in a virtual machine each
 * CPUID is an exit to the hypervisor, and glibc asks about fifty times. Checks with sanitizers use glibc, and so do other
 * machines than x86-64: there musl's vfork(2) is a fork, and what a child notes down before its exec would be lost.
 */
#ifndef BERTH_LIBC_H
#define BERTH_LIBC_H

#include <stddef.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __GLIBC__
#include <sys/pidfd.h>
#else
#include <linux/mount.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define W_EXITCODE(code, number) ((code) << 8 | (number))
/* Here it is as safe in a signal handler: a table, and no locale was ever set. */
#define strerrordesc_np strerror

static inline int fsopen(const char *type, unsigned flags)
{
  return (int)syscall(SYS_fsopen, type, flags);
}

static inline int fsconfig(int fd, unsigned command, const char *key, const void *value, int aux)
{
  return (int)syscall(SYS_fsconfig, fd, command, key, value, aux);
}

static inline int fsmount(int fd, unsigned flags, unsigned attributes)
{
  return (int)syscall(SYS_fsmount, fd, flags, attributes);
}

static inline int open_tree(int dir, const char *path, unsigned flags)
{
  return (int)syscall(SYS_open_tree, dir, path, flags);
}

static inline int move_mount(int from, const char *from_path, int to, const char *to_path, unsigned flags)
{
  return (int)syscall(SYS_move_mount, from, from_path, to, to_path, flags);
}

static inline int mount_setattr(int dir, const char *path, unsigned flags, struct mount_attr *attr, size_t size)
{
  return (int)syscall(SYS_mount_setattr, dir, path, flags, attr, size);
}

static inline int pidfd_open(pid_t pid, unsigned flags)
{
  return (int)syscall(SYS_pidfd_open, pid, flags);
}

static inline int pidfd_send_signal(int pidfd, int number, siginfo_t *info, unsigned flags)
{
  return (int)syscall(SYS_pidfd_send_signal, pidfd, number, info, flags);
}
#endif

/* sigaction(2) itself: a C library refuses the signals that it uses, and a program may have been left to ignore one. */
static inline void signal_default(int number)
{
  static const unsigned long none[4];
  (void)syscall(SYS_rt_sigaction, number, none, NULL, sizeof(uint64_t));
}

/* musl's macro compares a size with a difference of pointers. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wsign-compare"
static inline struct cmsghdr *control_after(struct msghdr *header, struct cmsghdr *item)
{
  return CMSG_NXTHDR(header, item);
}
#pragma GCC diagnostic pop

#endif
