/*
 * berth-pack: what a container wrote, or saw, as an archive on its standard output.
 *
 *   berth-pack layer ID_BASE BYTES 3<tree           what it wrote, as a layer of the OCI image format
 *   berth-pack root ID_BASE BYTES LAYER... 3<tree   all that it saw, with the layers below, topmost first
 *   berth-pack plain ID_BASE BYTES 3<tree           a directory as it is
 *   berth-pack copy ID_BASE BYTES 3<tree            a layer as it is: with the marks of what it deletes, and itself
 *   berth-pack sync 3<tree                          nothing, once all of its file system is on disk
 *
 * The stream has frames (pack.h), so that its reader can tell an archive that is complete from one that broke off.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "../supervisor/fd.h"
#include "pack.h"

#define BIT(capability) (1u << (capability))

static int number_of(const char *text, uint64_t *value)
{
  char *end;
  errno = 0;
  *value = strtoull(text, &end, 10);
  return errno != 0 || end == text || *end != '\0' || text[0] == '-' ? -1 : 0;
}

static int run(const struct pack_wish *wish, char *const *layers, unsigned count, struct unpack_report *report)
{
  /* Reads whatever has whatever owner; sees the marks of overlayfs, which only the host's root does. */
  const uint32_t kept = BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_FOWNER) | (wish->layer ? BIT(CAP_SYS_ADMIN) : 0);
  cleanup_close int view = count == 0 ? fcntl(PACK_FD_TREE, F_DUPFD_CLOEXEC, PACK_FD_TREE)
                                      : view_open(PACK_FD_TREE, layers, count, report);
  if (view < 0)
    return report->detail[0] == '\0' ? unpack_sys(report, "pack", "", "the tree") : -1;
  if (jail_confine(view, kept, report) < 0)
    return -1;
  return tree_pack(view, wish, report);
}

static int finish(const struct unpack_report *report)
{
  const unsigned char end[4] = { 0 };
  if (fd_write_all(PACK_FD_OUT, end, sizeof end) < 0)
    return 1;
  return unpack_print(stdout, report) == 0 && report->ok ? 0 : 1;
}

int main(int argc, char **argv)
{
  static struct unpack_report report;
  struct pack_wish wish = { 0 };
  uint64_t base = 0;
  if (argc == 2 && strcmp(argv[1], "sync") == 0) {
    report.ok = syncfs(PACK_FD_TREE) == 0 || unpack_sys(&report, "pack.sync", "", "flush to disk") == 0;
    return finish(&report);
  }
  const char *kind = argc < 4 ? "" : argv[1];
  bool root = strcmp(kind, "root") == 0;
  wish.layer = strcmp(kind, "layer") == 0 || strcmp(kind, "copy") == 0;
  wish.top = strcmp(kind, "plain") == 0 || strcmp(kind, "copy") == 0;
  unsigned layers = argc > 4 ? (unsigned)argc - 4 : 0;
  if ((!root && !wish.layer && !wish.top) || number_of(argv[2], &base) < 0 || base > UINT32_MAX ||
      number_of(argv[3], &wish.bytes) < 0 || layers > PACK_MAX_LAYERS || (layers > 0) != root) {
    (void)fprintf(stderr, "usage: berth-pack layer|plain|copy ID_BASE BYTES 3<tree\n       berth-pack root ID_BASE BYTES LAYER... 3<tree\n");
    return 2;
  }
  wish.id_base = (uid_t)base;
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  /* Names are bytes; libarchive tells those that are text as UTF-8. */
  (void)setlocale(LC_CTYPE, "C.UTF-8");
  report.ok = run(&wish, argv + 4, layers, &report) == 0;
  return finish(&report);
}
