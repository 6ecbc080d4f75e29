/* System calls that could reach the host: each must be refused for want of permission, not for a wrong argument. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "probe.h"

#define REFUSE(what, call) (errno = 0, must_refuse("call", what, (long)(call)))

static void probe_kernel(void)
{
  REFUSE("bpf", syscall(SYS_bpf, 0, 0, 0));
  REFUSE("userfaultfd", syscall(SYS_userfaultfd, 0));
  REFUSE("io_uring_setup", syscall(SYS_io_uring_setup, 1, 0));
  REFUSE("perf_event_open", syscall(SYS_perf_event_open, 0, 0, 0, 0, 0));
  REFUSE("fanotify_init", syscall(SYS_fanotify_init, 0, 0));
  REFUSE("keyctl", syscall(SYS_keyctl, 0, -3, 0));
  REFUSE("add_key", syscall(SYS_add_key, "user", "a", "b", 1, -3));
  REFUSE("request_key", syscall(SYS_request_key, "user", "a", 0, 0));
  REFUSE("init_module", syscall(SYS_init_module, 0, 0, 0));
  REFUSE("finit_module", syscall(SYS_finit_module, 0, 0, 0));
  REFUSE("delete_module", syscall(SYS_delete_module, "loop", 0));
  REFUSE("kexec_load", syscall(SYS_kexec_load, 0, 0, 0, 0));
  REFUSE("kexec_file_load", syscall(SYS_kexec_file_load, 0, 0, 0, 0, 0));
  REFUSE("reboot", syscall(SYS_reboot, 0, 0, 0, 0)); /* permission is checked before the magic numbers */
  REFUSE("swapon", swapon("/tmp/none", 0));
  REFUSE("swapoff", swapoff("/tmp/none"));
  REFUSE("acct", syscall(SYS_acct, 0));
  REFUSE("syslog read", klogctl(3, 0, 0));
  REFUSE("syslog size", klogctl(10, 0, 0));
  REFUSE("quotactl", syscall(SYS_quotactl, 0, 0, 0, 0));
  REFUSE("vhangup", syscall(SYS_vhangup));
#ifdef SYS_iopl
  REFUSE("iopl", syscall(SYS_iopl, 3));
  REFUSE("ioperm", syscall(SYS_ioperm, 0x80, 1, 1));
#endif
  /* Nothing is changed even where it is allowed: the clock is set to what it shows. */
  struct timeval of_day;
  (void)gettimeofday(&of_day, NULL);
  REFUSE("settimeofday", syscall(SYS_settimeofday, &of_day, 0));
  struct timespec now;
  (void)clock_gettime(CLOCK_REALTIME, &now);
  REFUSE("clock_settime", clock_settime(CLOCK_REALTIME, &now));
  struct timex state = { .modes = 0 };
  if (adjtimex(&state) >= 0) {
    state.modes = ADJ_STATUS;
    REFUSE("adjtimex", adjtimex(&state));
  }
  REFUSE("sethostname", sethostname("x", 1));
  REFUSE("setdomainname", setdomainname("x", 1));
}

static void probe_mounts(void)
{
  REFUSE("mount tmpfs", mount("t", "/tmp", "tmpfs", 0, ""));
  REFUSE("mount proc", mount("p", "/tmp", "proc", 0, ""));
  REFUSE("mount sysfs", mount("s", "/tmp", "sysfs", 0, ""));
  REFUSE("mount cgroup", mount("c", "/tmp", "cgroup", 0, "memory"));
  REFUSE("mount cgroup2", mount("c", "/tmp", "cgroup2", 0, ""));
  REFUSE("mount overlay", mount("o", "/tmp", "overlay", 0, "lowerdir=/bin:/etc"));
  REFUSE("mount fuse", mount("f", "/tmp", "fuse", 0, "fd=0"));
  REFUSE("bind", mount("/bin", "/tmp", "", MS_BIND, ""));
  REFUSE("remount", mount("", "/proc/sys", "", MS_REMOUNT | MS_BIND, ""));
  REFUSE("umount", umount2("/proc/kcore", MNT_DETACH));
  REFUSE("pivot_root", syscall(SYS_pivot_root, ".", "."));
  REFUSE("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
  REFUSE("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1));
  REFUSE("open_tree_attr", syscall(467, AT_FDCWD, "/", 1, 0, 0));
  REFUSE("move_mount", syscall(SYS_move_mount, AT_FDCWD, "/", AT_FDCWD, "/tmp", 0));
  REFUSE("mount_setattr", syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, 0, 0));
  REFUSE("statmount", syscall(457, 0, 0, 0, 0));
  REFUSE("listmount", syscall(458, 0, 0, 0, 0));
  REFUSE("open_by_handle_at", syscall(SYS_open_by_handle_at, AT_FDCWD, 0, 0));
  REFUSE("name_to_handle_at", syscall(SYS_name_to_handle_at, AT_FDCWD, "/", 0, 0, 0));
  int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  REFUSE("freeze the file system", ioctl(root, 0xC0045877, 0));
  int flags = 0x10; /* FS_IMMUTABLE_FL */
  int file = open("/tmp/probe-file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  attempt();
  if (file >= 0 && ioctl(file, 0x40086602, &flags) == 0)
    finding("call", "a file can be made immutable");
  (void)unlink("/tmp/probe-file");
  (void)close(file);
  (void)close(root);
}

static void probe_namespaces(void)
{
  static const struct {
    const char *name;
    int flag;
  } kinds[] = { { "user", CLONE_NEWUSER }, { "mnt", CLONE_NEWNS },   { "pid", CLONE_NEWPID },
                { "net", CLONE_NEWNET },   { "ipc", CLONE_NEWIPC },  { "uts", CLONE_NEWUTS },
                { "cgroup", CLONE_NEWCGROUP }, { "time", CLONE_NEWTIME } };
  for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    char what[64], path[64];
    pid_t child = fork();
    if (child == 0) {
      (void)snprintf(what, sizeof what, "unshare %s", kinds[i].name);
      REFUSE(what, unshare(kinds[i].flag));
      _exit(0);
    }
    (void)waitpid(child, NULL, 0);
    if (kinds[i].flag != CLONE_NEWTIME) {
      (void)snprintf(what, sizeof what, "clone %s", kinds[i].name);
      long pid = syscall(SYS_clone, kinds[i].flag | SIGCHLD, 0, 0, 0, 0);
      if (pid == 0)
        _exit(0);
      REFUSE(what, pid > 0 ? pid : (errno = errno == 0 ? EPERM : errno, -1));
    }
    (void)snprintf(path, sizeof path, "/proc/1/ns/%s", kinds[i].name);
    attempt();
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
      finding("call", "%s can be opened", path);
    (void)snprintf(path, sizeof path, "/proc/self/ns/%s", kinds[i].name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
      REFUSE("setns to its own namespace", setns(fd, 0));
    if (fd >= 0 && (kinds[i].flag & (CLONE_NEWUSER | CLONE_NEWPID)) != 0)
      REFUSE("the namespace above", ioctl(fd, 0xb702)); /* NS_GET_PARENT, ioctl_ns(2) */
    (void)close(fd);
  }
  struct clone_args args = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };
  REFUSE("clone3", syscall(SYS_clone3, &args, sizeof args));
}

static void probe_traceme(void)
{
  REFUSE("ptrace traceme", ptrace(PTRACE_TRACEME, 0, 0, 0));
}

static void probe_processes(void)
{
  in_child("ptrace", probe_traceme);
  REFUSE("ptrace init", ptrace(PTRACE_ATTACH, 1, 0, 0));
  REFUSE("process_vm_readv", syscall(SYS_process_vm_readv, 1, 0, 0, 0, 0, 0));
  REFUSE("process_vm_writev", syscall(SYS_process_vm_writev, 1, 0, 0, 0, 0, 0));
  REFUSE("kcmp", syscall(SYS_kcmp, 1, 1, 0, 0, 0));
  REFUSE("move_pages", syscall(SYS_move_pages, 1, 0, 0, 0, 0, 0));
  long pidfd = syscall(SYS_pidfd_open, 1, 0);
  REFUSE("pidfd_getfd", syscall(SYS_pidfd_getfd, pidfd, 0, 0));
  REFUSE("setns by pidfd", setns((int)pidfd, CLONE_NEWNS));
  (void)close((int)pidfd);
}

static void ended_by(const char *what, void (*body)(void))
{
  attempt();
  pid_t pid = fork();
  if (pid == 0) {
    body();
    _exit(0);
  }
  int status = 0;
  if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
    finding("call", "%s is not killed", what);
}

#ifdef __x86_64__
static void i386(void)
{
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory");
}
static void x32(void)
{
  (void)syscall(0x40000000 + 39);
}
#endif

static void probe_terminals(void)
{
  REFUSE("TIOCSTI", ioctl(0, TIOCSTI, "x"));
  REFUSE("TIOCSTI with noise above", syscall(SYS_ioctl, 0, 0xdeadbeef00005412UL, "x"));
  REFUSE("TIOCLINUX", ioctl(0, 0x541c, "\x02"));
  attempt();
  if (open("/dev/tty", O_RDWR | O_NOCTTY) >= 0)
    finding("call", "there is a controlling terminal");
}

void probe_calls(void)
{
  probe_kernel();
  probe_mounts();
  probe_namespaces();
  probe_processes();
  probe_terminals();
#ifdef __x86_64__
  ended_by("a call of the 32-bit ABI", i386);
  ended_by("a call of the x32 ABI", x32);
#endif
}
