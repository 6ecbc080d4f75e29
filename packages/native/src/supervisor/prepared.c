/*
 * Namespaces whose making takes long, and what is mounted in them whatever the container: owned by a user namespace that
 * has no ids yet, since these are given when it is known whose it will be. A pid namespace without a process cannot be
 * held by a descriptor, so a process stays in there, the stem: a copy of the supervisor that shares its descriptors,
 * stands still, and does nothing at the claim but give birth to init, right into the container's v2 cgroup.
 *
 *   supervisor ─ fork ─► stem: unshare ─► lo up ─► /sys, /dev mounted and masked ─► host's root detached ─► waits
 *        └──────────────── claim: ids, cgroups ──────────────────────────────────────────► clone3 ─► init
 *
 * The v2 cgroup is not among it: it bears the container's name. Nor is anything that depends on an image, a user or a limit;
 * of the file systems those whose files would belong to nobody while there are no ids: /dev/pts and /dev/shm.
 */
#include "prepared.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../../include/control.h"
#include "fd.h"
#include "fs.h"
#include "libc.h"
#include "mask.h"
#include "network.h"
#include "payload.h"
#include "privileges.h"
#include "rootfs.h"
#include "userns.h"

#define STAGE "namespaces"
#define KINDS (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)

struct prepared prepared = {
  .pidfd = -1, .userns = USERNS_NO_FILES, .stage = -1, .home = -1, .dev = -1, .sys = -1, .proc = -1
};

/* The one page that supervisor and stem share. Never written by both at once: one of them waits. */
struct birth {
  int sys; /* from the stem */
  struct clone_args args;
  struct cgroup cgroup;
  int sync, sync_peer, stdio[3];
  pid_t born; /* written by the kernel before init runs, so that even a stem killed right then leaves no init unknown */
  struct err err;
};
static struct birth *birth;
static int ready = -1, go = -1;

static int tell(int event)
{
  const uint64_t one = 1;
  return RETRY_INTR(write(event, &one, sizeof one)) == (ssize_t)sizeof one ? 0 : -1;
}

static int await(int event)
{
  uint64_t told;
  return RETRY_INTR(read(event, &told, sizeof told)) == (ssize_t)sizeof told ? 0 : -1;
}

/* A root directory to leave the host's for: nothing but places for the three mounts. */
static int make_stage(struct err *err)
{
  static const struct fs_option options[] = { { "mode", "755" }, { "size", "4096" }, { "nr_inodes", "8" }, { NULL, NULL } };
  static const char *const places[] = { "dev", "proc", "sys" };
  cleanup_close int stage = fs_new("tmpfs", options, FS_KERNEL, STAGE, err);
  for (unsigned i = 0; stage >= 0 && i < sizeof places / sizeof *places; i++)
    if (mkdirat(stage, places[i], 0755) < 0)
      return err_sys(err, STAGE, "mkdir %s", places[i]);
  return fd_take(&stage);
}

static int put(int mounted, int stage, const char *place, struct err *err)
{
  if (move_mount(mounted, "", stage, place, MOVE_MOUNT_F_EMPTY_PATH) < 0)
    return err_sys(err, STAGE, "attach %s", place);
  return 0;
}

static int mount_stage(int stage, struct err *err)
{
  cleanup_close int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (old < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
      move_mount(stage, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0)
    return err_sys(err, STAGE, "attach");
  /* A procfs belongs to the pid namespace of who makes it, so init will; and the kernel gives new ones only to who sees
     one already, so the host's stays in sight until init leaves this place. */
  cleanup_close int proc = open_tree(AT_FDCWD, "/proc", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
  cleanup_close int queues = fs_new("mqueue", NULL, FS_KERNEL, STAGE, err);
  birth->sys = fs_new("sysfs", NULL, FS_KERNEL | MOUNT_ATTR_RDONLY, STAGE, err);
  if (proc < 0 || queues < 0 || birth->sys < 0 || put(prepared.dev, stage, "dev", err) < 0 ||
      put(queues, prepared.dev, "mqueue", err) < 0 || put(proc, stage, "proc", err) < 0 ||
      put(birth->sys, stage, "sys", err) < 0)
    return -1;
  cleanup_close int null = openat(prepared.dev, "null", O_PATH | O_NOFOLLOW | O_CLOEXEC);
  struct mask mask = { .null = null, .empty = -1 };
  int failed = null < 0 || mask_sys(&mask, birth->sys, err) < 0;
  mask_close(&mask);
  if (failed != 0 || fchdir(stage) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || fchdir(old) < 0 ||
      umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
    return -1;
  return 0;
}

static _Noreturn void stem_main(pid_t supervisor)
{
  struct err ignored;
  struct spec spec;
  payload_default_signals();
  userns_pose();
  if (unshare(KINDS) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 ||
      getppid() != supervisor || network_loopback(&ignored) < 0 || mount_stage(prepared.stage, &ignored) < 0 ||
      privileges_drop_ahead(&ignored) < 0 || tell(ready) < 0)
    _exit(1);
  stack_trim();
  if (await(go) < 0 || spec_map(&spec, BERTH_FD_SPEC, &birth->err) < 0)
    _exit(1);
  long pid = syscall(SYS_clone3, &birth->args, sizeof birth->args);
  if (pid == 0) {
    const struct init_context context = { .spec = &spec,
                                          .cgroup = &birth->cgroup,
                                          .sync = birth->sync,
                                          .sync_peer = birth->sync_peer,
                                          .stdio = { birth->stdio[0], birth->stdio[1], birth->stdio[2] },
                                          .prepared = KINDS };
    prepared = (struct prepared){ .kinds = KINDS, .pidfd = -1, .userns = USERNS_NO_FILES, .stage = -1,
                                  .home = -1, .dev = prepared.dev, .sys = birth->sys, .proc = -1 };
    init_main(&context);
  }
  if (pid < 0)
    (void)err_sys(&birth->err, STAGE, "clone3 into what was prepared");
  /* To end takes half as long as to give birth, on the processor that init is on by then: it is killed later instead. */
  else if (tell(ready) == 0)
    (void)await(go);
  _exit(0);
}

/* Until it has told that it is ready, or is gone. */
static int await_stem(void)
{
  struct pollfd sources[] = { { .fd = ready, .events = POLLIN }, { .fd = prepared.pidfd, .events = POLLIN } };
  return RETRY_INTR(poll(sources, 2, -1)) < 0 || sources[0].revents == 0 ? -1 : await(ready);
}

static bool has_ended(int pidfd)
{
  struct pollfd source = { .fd = pidfd, .events = POLLIN };
  return RETRY_INTR(poll(&source, 1, 0)) != 0;
}

static int start_stem(void)
{
  struct err ignored;
  prepared.dev = rootfs_make_dev(&ignored);
  prepared.stage = prepared.dev < 0 ? -1 : make_stage(&ignored);
  birth = mmap(NULL, sizeof *birth, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  prepared.home = RETRY_INTR(open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
  if (prepared.stage < 0 || prepared.home < 0 || birth == MAP_FAILED)
    return -1;
  *birth = (struct birth){ .sys = -1, .born = -1 };
  ready = eventfd(0, EFD_CLOEXEC);
  go = eventfd(0, EFD_CLOEXEC);
  struct clone_args args = { .flags = CLONE_FILES | CLONE_PIDFD,
                             .pidfd = (uint64_t)(uintptr_t)&prepared.pidfd,
                             .exit_signal = SIGCHLD };
  pid_t supervisor = getpid();
  long pid = ready < 0 || go < 0 ? -1 : syscall(SYS_clone3, &args, sizeof args);
  if (pid == 0)
    stem_main(supervisor);
  if (pid < 0)
    return -1;
  prepared.stem = (pid_t)pid;
  if (await_stem() < 0 ||
      userns_open(&prepared.userns, prepared.stem, &ignored) < 0)
    return -1;
  prepared.kinds = KINDS;
  prepared.sys = birth->sys;
  return 0;
}

void prepared_make(void)
{
  if (start_stem() < 0)
    prepared_close();
}

bool prepared_is_ready(void)
{
  if (prepared.kinds != 0 && has_ended(prepared.pidfd))
    prepared_close();
  return prepared.kinds != 0;
}

int prepared_conceive(const struct init_context *context, const struct clone_args *args, struct err *err)
{
  birth->args = *args;
  birth->args.flags = (args->flags & CLONE_INTO_CGROUP) | CLONE_PARENT | CLONE_PARENT_SETTID;
  birth->args.parent_tid = (uint64_t)(uintptr_t)&birth->born;
  birth->args.pidfd = 0;
  birth->args.exit_signal = 0; /* that of the stem, which is SIGCHLD */
  birth->cgroup = *context->cgroup;
  birth->sync = context->sync;
  birth->sync_peer = context->sync_peer;
  for (unsigned i = 0; i < 3; i++)
    birth->stdio[i] = context->stdio[i];
  (void)err_set(&birth->err, ECHILD, STAGE, "the process on standby was killed");
  /* Before init is there: one with a mount of its own on /dev/mqueue takes this one away, and both are the same queues. */
  if (rootfs_give_places(prepared.dev, context->spec->header->id_base, err) < 0)
    return -1;
  if (tell(go) < 0)
    return err_sys(err, STAGE, "wake the process on standby");
  /* The kernel often leaves it on this processor, behind this process, although another one is idle (select_idle_cpu in
     kernel/sched/fair.c looks for none where half of the time of all is used): it comes first then. */
  (void)sched_yield();
  return 0;
}

long prepared_birth(struct err *err)
{
  pid_t born = __atomic_load_n(&birth->born, __ATOMIC_ACQUIRE);
  if (born < 0 && await_stem() < 0)
    prepared_reap();
  born = __atomic_load_n(&birth->born, __ATOMIC_ACQUIRE);
  if (born < 0)
    *err = birth->err;
  return born;
}

static void end_stem(void)
{
  if (prepared.pidfd >= 0)
    (void)pidfd_send_signal(prepared.pidfd, SIGKILL, NULL, 0);
}

/* Its last words may come late, and to a number that is free by then and somebody else's next: these stay until it is gone.
   Of a start that failed halfway it still waits, and ends for nobody's word. */
void prepared_reap(void)
{
  siginfo_t info;
  end_stem();
  if (prepared.pidfd >= 0)
    (void)RETRY_INTR(waitid(P_PIDFD, (id_t)prepared.pidfd, &info, WEXITED));
  prepared.stem = 0;
  fd_close(&prepared.pidfd);
  fd_close(&ready);
  fd_close(&go);
}

void prepared_leave(void)
{
  end_stem();
  fd_close(&prepared.dev);
  if (birth != NULL && birth != MAP_FAILED) {
    /* Init may be reading that page: it is left as it is. */
    if (birth->sys >= 0)
      (void)close(birth->sys);
    (void)munmap(birth, sizeof *birth);
  }
  birth = NULL;
  prepared.sys = -1;
}

void prepared_close(void)
{
  prepared_reap();
  prepared.kinds = 0;
  fd_close(&prepared.stage);
  fd_close(&prepared.home);
  userns_close(&prepared.userns);
  prepared_leave();
}
