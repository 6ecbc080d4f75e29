/*
 * berth-unpack: unpacks one layer archive, or one of plain files, into one empty directory.
 *
 *   outer (root) ─ clone, user map ─► inner (jail.c): reads the archive, makes the tree ─ report ─► outer: marks opaque
 *   directories, flushes, prints one line of JSON
 *
 * Two processes, because `trusted.overlay.opaque` may be set by the host's root only, and the archive must not be read
 * by the host's root. Whoever kills either leaves a directory that nobody has given a name yet.
 *
 * berth-unpack --seal reads a finished tree and prints its seal (seal.c).
 * berth-unpack --limit BYTES gives a directory a project quota, and fails when more lies in it (supervisor/quota.c).
 * berth-unpack --maps tells whether mounts of a directory can map ids, and fails with the kernel's reason if not.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../supervisor/fd.h"
#include "../supervisor/libc.h"
#include "../supervisor/quota.h"
#include "unpack.h"

#define STAGE "unpack"
#define MAX_OPAQUE (UINT64_C(1) << 20)

static int read_number(const char *text, uint64_t *value)
{
  char *end;
  errno = 0;
  unsigned long long number = strtoull(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || number == 0)
    return -1;
  *value = number;
  return 0;
}

static int read_all(int fd, void *buffer, size_t size)
{
  for (size_t done = 0; done < size;) {
    ssize_t got = RETRY_INTR(read(fd, (char *)buffer + done, size - done));
    if (got <= 0)
      return -1;
    done += (size_t)got;
  }
  return 0;
}

static _Noreturn void inner(int go, int out, const struct unpack_limits *limits, uint64_t blob_size)
{
  static struct unpack_report report;
  struct unpack_tree tree = { .root = UNPACK_FD_TREE, .report = &report };
  char word;
  /* The map is written once we exist. */
  if (read_all(go, &word, 1) < 0)
    _exit(1);
  (void)umask(0);
  if (jail_enter(UNPACK_FD_TREE, limits, &report) == 0 &&
      archive_unpack(UNPACK_FD_BLOB, blob_size, limits, &tree) == 0)
    report.ok = true;
  report.opaque = report.ok ? tree.opaque.count : 0;
  if (fd_write_all(out, &report, sizeof report) < 0)
    _exit(1);
  for (size_t i = 0; i < report.opaque; i++)
    if (fd_write_all(out, tree.opaque.items[i], strlen(tree.opaque.items[i]) + 1) < 0)
      _exit(1);
  _exit(0);
}

/* Ids in the archive are 0…65535, on disk as many from `base` on; the kernel refuses all others. */
static int write_map(pid_t pid, uint64_t base, struct unpack_report *report)
{
  char map[64], path[64];
  (void)snprintf(map, sizeof map, "0 %llu 65536\n", (unsigned long long)base);
  (void)snprintf(path, sizeof path, "/proc/%d", pid);
  cleanup_close int process = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (process < 0 || fd_write_at(process, "uid_map", map) < 0 || fd_write_at(process, "gid_map", map) < 0)
    return unpack_sys(report, "unpack.jail", "", "map the users");
  return 0;
}

static int mark_opaque(const char *path, struct unpack_report *report)
{
  cleanup_close int dir = fd_open_plain(UNPACK_FD_TREE, path[0] == '\0' ? "/" : path, O_RDONLY | O_DIRECTORY);
  if (dir < 0) {
    /* Replaced by a later entry. */
    if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)
      return 0;
    return unpack_sys(report, STAGE, path, "open an opaque directory");
  }
  if (fsetxattr(dir, "trusted.overlay.opaque", "y", 1, 0) < 0)
    return unpack_sys(report, STAGE, path, "mark the directory opaque");
  return 0;
}

static int receive(int in, struct unpack_report *report)
{
  if (read_all(in, report, sizeof *report) < 0)
    return unpack_bad(report, STAGE, "", "the reader of the archive was killed");
  report->stage[sizeof report->stage - 1] = report->entry[sizeof report->entry - 1] = '\0';
  report->detail[sizeof report->detail - 1] = report->digest[UNPACK_DIGEST_HEX] = '\0';
  report->seal[0] = '\0';
  if (!report->ok)
    return -1;
  if (report->opaque > MAX_OPAQUE)
    return unpack_bad(report, "unpack.limit", "", "too many opaque directories");
  FILE *stream = fdopen(in, "r");
  if (stream == NULL)
    return unpack_sys(report, STAGE, "", "fdopen");
  char *path = NULL;
  size_t room = 0;
  int result = 0;
  for (uint64_t i = 0; i < report->opaque && result == 0; i++) {
    ssize_t length = getdelim(&path, &room, '\0', stream);
    if (length <= 0 || (size_t)length > UNPACK_MAX_PATH + 1)
      result = unpack_bad(report, STAGE, "", "the list of opaque directories is damaged");
    else
      result = mark_opaque(path, report);
  }
  free(path);
  return result;
}

/*
 * The name that the tree is given afterwards must not be there before its content is. The disk is busy with that while
 * the processor reads the tree once more.
 */
static int seal_and_flush(bool plain, struct unpack_report *report)
{
  struct unpack_report sealed = { 0 };
  if (plain)
    return syncfs(UNPACK_FD_TREE) < 0 ? unpack_sys(report, STAGE, "", "flush to disk") : 0;
  int status = 0;
  pid_t flusher = fork();
  if (flusher < 0)
    return unpack_sys(report, STAGE, "", "fork");
  if (flusher == 0)
    _exit(syncfs(UNPACK_FD_TREE) < 0 ? errno & 0xff : 0);
  int result = tree_seal(UNPACK_FD_TREE, &sealed, report->seal);
  if (RETRY_INTR(waitpid(flusher, &status, 0)) != flusher || !WIFEXITED(status))
    return unpack_bad(report, STAGE, "", "flushing to disk was killed");
  errno = WEXITSTATUS(status);
  if (errno != 0)
    return unpack_sys(report, STAGE, "", "flush to disk");
  if (result < 0) {
    errno = sealed.number;
    return sealed.number == 0 ? unpack_bad(report, sealed.stage, sealed.entry, "%s", sealed.detail)
                              : unpack_sys(report, sealed.stage, sealed.entry, "%s", sealed.detail);
  }
  return 0;
}

static int run(const struct unpack_limits *limits, struct unpack_report *report)
{
  int go[2], back[2];
  struct stat blob;
  if (fstat(UNPACK_FD_BLOB, &blob) < 0 || pipe2(go, O_CLOEXEC) < 0 || pipe2(back, O_CLOEXEC) < 0)
    return unpack_sys(report, STAGE, "", "prepare");
  uint64_t blob_size = S_ISREG(blob.st_mode) ? (uint64_t)blob.st_size : limits->bytes;
  struct clone_args args = {
    .flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
    .exit_signal = SIGCHLD,
  };
  long pid = syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0)
    return unpack_sys(report, "unpack.jail", "", "clone3");
  if (pid == 0) {
    (void)close(go[1]);
    (void)close(back[0]);
    inner(go[0], back[1], limits, blob_size);
  }
  (void)close(go[0]);
  (void)close(back[1]);
  int result = write_map((pid_t)pid, limits->id_base, report);
  /* It is root of its own range only, and fills this directory. */
  if (result == 0 && limits->id_base != 0 && fchown(UNPACK_FD_TREE, (uid_t)limits->id_base, (gid_t)limits->id_base) < 0)
    result = unpack_sys(report, STAGE, "", "owner of the directory");
  if (result == 0 && fd_write_all(go[1], "", 1) < 0)
    result = unpack_sys(report, STAGE, "", "the reader of the archive is gone");
  if (result < 0)
    (void)kill((pid_t)pid, SIGKILL);
  else
    result = receive(back[0], report);
  (void)RETRY_INTR(waitpid((pid_t)pid, NULL, 0));
  return result < 0 ? -1 : seal_and_flush(limits->plain, report);
}

/* Waits until whoever looks at its user namespace has done so. */
static _Noreturn void namesake(int go)
{
  char word;
  (void)read_all(go, &word, 1);
  _exit(0);
}

static int map_mount(pid_t pid, struct unpack_report *report)
{
  char path[64];
  (void)snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
  cleanup_close int userns = open(path, O_RDONLY | O_CLOEXEC);
  cleanup_close int tree = open_tree(UNPACK_FD_TREE, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
  struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (unsigned)userns };
  if (userns < 0 || tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0)
    return unpack_sys(report, "unpack.maps", "", "map ids of a mount");
  return 0;
}

static int maps(struct unpack_report *report)
{
  int go[2];
  if (pipe2(go, O_CLOEXEC) < 0)
    return unpack_sys(report, STAGE, "", "prepare");
  struct clone_args args = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };
  long pid = syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0)
    return unpack_sys(report, "unpack.maps", "", "clone3");
  if (pid == 0) {
    (void)close(go[1]);
    namesake(go[0]);
  }
  (void)close(go[0]);
  int result = write_map((pid_t)pid, UNPACK_IDS, report) < 0 ? -1 : map_mount((pid_t)pid, report);
  (void)close(go[1]);
  (void)RETRY_INTR(waitpid((pid_t)pid, NULL, 0));
  return result;
}

static int limit(uint64_t bytes, struct unpack_report *report)
{
  struct err err = { 0 };
  if (quota_limit((const int[]){ UNPACK_FD_TREE }, 1, bytes, &err) == 0 && quota_check(UNPACK_FD_TREE, &err) == 0)
    return 0;
  errno = err.number;
  return unpack_sys(report, err.stage, "", "%s", err.detail);
}

static int tell(struct unpack_report *report, int result)
{
  report->ok = result == 0;
  return unpack_print(stdout, report) == 0 && report->ok ? 0 : 1;
}

int main(int argc, char **argv)
{
  static struct unpack_report report;
  struct unpack_limits limits = { 0 };
  if (argc == 2 && strcmp(argv[1], "--seal") == 0) {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    return tell(&report, tree_seal(UNPACK_FD_TREE, &report, report.seal));
  }
  if (argc == 2 && strcmp(argv[1], "--maps") == 0)
    return tell(&report, maps(&report));
  if (argc == 3 && strcmp(argv[1], "--limit") == 0 && read_number(argv[2], &limits.bytes) == 0)
    return tell(&report, limit(limits.bytes, &report));
  limits.plain = argc == 6 && strcmp(argv[5], "plain") == 0;
  bool shifted = argc == 7 && strcmp(argv[5], "ids") == 0 && read_number(argv[6], &limits.id_base) == 0 &&
                 limits.id_base <= UINT32_MAX - UNPACK_IDS;
  if ((argc != 5 && !limits.plain && !shifted) || read_number(argv[1], &limits.bytes) < 0 || read_number(argv[2], &limits.entries) < 0 ||
      read_number(argv[3], &limits.depth) < 0 || read_number(argv[4], &limits.ratio) < 0) {
    (void)fprintf(stderr, "usage: berth-unpack BYTES ENTRIES DEPTH RATIO [plain|ids BASE] <archive 3<directory\n       berth-unpack --seal|--maps|--limit BYTES 3<directory\n");
    return 2;
  }
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  /* Names are bytes; libarchive converts those that are marked as UTF-8. */
  (void)setlocale(LC_CTYPE, "C.UTF-8");
  return tell(&report, run(&limits, &report));
}
