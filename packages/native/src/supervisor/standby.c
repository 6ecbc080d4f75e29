/*
 * Waits before the first thing that belongs to a container: nothing that bears its name and no id is taken while nobody has
 * claimed it, and no other container has ever touched it. The agent sends the spec, renames the directory that holds the
 * lock to the container's id, and says so; when the agent dies first, the socket ends and so does the process, with nothing
 * recorded: whatever name the directory has by then, it counts as never started.
 */
#include "standby.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "../../include/control.h"
#include "cgroup_ahead.h"
#include "fd.h"
#include "prepared.h"
#include "record.h"

static const char wanted[] = "--standby";

bool standby_is_wanted(const char *word)
{
  return strlen(word) == BERTH_STANDBY_WORD && strncmp(word, wanted, sizeof wanted - 1) == 0;
}

void standby_prepare(int state_dir, char *const *cgroup_parents)
{
  /* Creating a file is slow where files were deleted lately: ext4 looks for an inode that was not. */
  (void)mkdirat(state_dir, "upper", 0755);
  (void)mkdirat(state_dir, "work", 0755);
  static const char *const records[] = { "status.tmp", "exit.tmp" };
  for (unsigned i = 0; i < sizeof records / sizeof *records; i++) {
    cleanup_close int file = openat(state_dir, records[i], O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    (void)file;
  }
  cgroup_ahead_make(cgroup_parents);
  record_prepare();
  prepared_make();
  stack_trim();
}

/* Nothing blocks on that socket. */
static bool has_something(int client)
{
  struct pollfd source = { .fd = client, .events = POLLIN };
  return RETRY_INTR(poll(&source, 1, -1)) == 1;
}

bool standby_wait(int client, int spec)
{
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } control;
  char byte;
  struct iovec part = { .iov_base = &byte, .iov_len = 1 };
  struct msghdr message = {
    .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes
  };
  if (!has_something(client) || RETRY_INTR(recvmsg(client, &message, MSG_CMSG_CLOEXEC)) <= 0)
    return false;
  const struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
  if (rights == NULL || rights->cmsg_type != SCM_RIGHTS || rights->cmsg_len != CMSG_LEN(sizeof(int)))
    return false;
  cleanup_close int fd = -1;
  memcpy(&fd, CMSG_DATA(rights), sizeof fd);
  return dup3(fd, spec, O_CLOEXEC) >= 0;
}

bool standby_is_claimed(int client)
{
  char byte;
  return has_something(client) && RETRY_INTR(recv(client, &byte, 1, 0)) == 1;
}

void standby_rename(char *word, const char *id)
{
  size_t length = strlen(id);
  memset(word, 0, BERTH_STANDBY_WORD);
  memcpy(word, id, length < BERTH_STANDBY_WORD ? length : BERTH_STANDBY_WORD - 1);
}
