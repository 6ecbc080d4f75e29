#include "handover.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fd.h"
#include "join.h"
#include "network.h"
#include "old_root.h"
#include "prepared.h"
#include "process.h"
#include "rootfs.h"
#include "supervisor.h"
#include "sync.h"
#include "userns.h"

/* Whoever has ended before has said why. */
static int tell_init(enum sync_kind what, struct err *err)
{
  int sent = sync_send(self.sync.fd, what, 0, NULL);
  return sent < 0 && errno != EPIPE && errno != ECONNRESET ? err_sys(err, "init", "tell it of %d", (int)what) : 0;
}

/* The pair can only be made once the namespace is there. What else arrives before is the failure of init. */
static int await_netns(struct err *err)
{
  struct sync_message message;
  struct pollfd source = { .fd = self.sync.fd, .events = POLLIN };
  if (prepared.kinds != 0)
    return 0;
  (void)RETRY_INTR(poll(&source, 1, -1));
  int received = sync_receive(self.sync.fd, &message, MSG_DONTWAIT, NULL);
  if (received > 0 && message.kind == SYNC_NETNS)
    return 0;
  if (received > 0 && message.kind == SYNC_FAILED) {
    *err = message.err;
    return -1;
  }
  return err_set(err, 0, "init", "killed during the start");
}

static int plug_network(struct err *err)
{
  if (spec_section(&self.spec, BERTH_SECTION_NETWORK) == NULL)
    return 0;
  if (await_netns(err) < 0)
    return -1;
  if (network_plug(&self.spec, self.status.init_pid, err) < 0) {
    /* Init ended meanwhile, as when its memory limit is too small to mount: how is seen when it is reaped. */
    return err->number == ESRCH ? 0 : -1;
  }
  return tell_init(SYNC_PLUGGED, err);
}

static struct rootfs rootfs;
static enum { NOT_YET, MADE, FAILED } ahead;
static struct err failure;

void hand_over_ahead(void)
{
  ahead = rootfs_prepare(&rootfs, &self.spec, BERTH_FD_STATE, self.userns, &failure) == 0 ? MADE : FAILED;
}

void hand_over_forget(void)
{
  if (ahead == MADE)
    rootfs_close(&rootfs);
  if (ahead != NOT_YET)
    rootfs_undo(BERTH_FD_STATE);
  ahead = NOT_YET;
}

static int make_rootfs(struct err *err)
{
  if (ahead == FAILED)
    *err = failure;
  if (ahead != NOT_YET)
    return ahead == MADE ? 0 : -1;
  bool joined = (join_kinds(&self.spec) & CLONE_NEWUSER) != 0;
  cleanup_close int userns = self.userns >= 0 ? fd_take(&self.userns)
                             : joined         ? userns_joined(self.status.init_pid, self.spec.header->id_base, err)
                                              : userns_map(self.status.init_pid, self.spec.header->id_base, err);
  return userns < 0 ? -1 : rootfs_prepare(&rootfs, &self.spec, BERTH_FD_STATE, userns, err);
}

/* While init mounts. The program waits for it. */
static int confine(struct err *err)
{
  self.mounts = process_mounts(self.status.init_pid);
  const bool ended = self.mounts < 0 && (errno == ENOENT || errno == ESRCH);
  if (self.mounts < 0 && !ended && old_root_stays(&self.spec))
    return err_sys(err, "init", "open its mounts");
  output_close_writers(&self.output);
  cgroup_close_tasks(&self.cgroup);
  if (process_set_oom_score(&self.spec, self.status.init_pid, err) < 0 ||
      cgroup_complete(&self.cgroup, &self.spec, err) < 0 || cgroup_delegate(&self.cgroup, &self.spec, err) < 0)
    return -1;
  return tell_init(SYNC_CONFINED, err);
}

int hand_over(struct err *err)
{
  int made = make_rootfs(err);
  fd_close(&self.userns);
  if (made < 0)
    return -1;
  if ((self.null = rootfs_open_null(&rootfs, err)) < 0 ||
      process_raise_limits(&self.spec, self.status.init_pid, err) < 0)
    return -1;
  int sent = sync_send_fds(self.sync.fd, SYNC_SETUP, rootfs.fds, rootfs.count);
  /* EPIPE: init failed earlier and has said why. */
  if (sent < 0 && errno != EPIPE && errno != ECONNRESET)
    return err_sys(err, "init", "hand over the mounts");
  old_root_keep(&self.spec, &rootfs);
  if (plug_network(err) < 0 || confine(err) < 0)
    return -1;
  prepared_leave();
  return 0;
}
