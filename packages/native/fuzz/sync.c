/*
 * What a container's init could send if it were taken over: messages of any size and content, with any number of
 * descriptors. Whatever is accepted goes into the exit record, which stays one line of JSON.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../src/supervisor/record.h"
#include "../src/supervisor/rootfs.h"
#include "../src/supervisor/sync.h"
#include "fuzz.h"
#include "json-line.h"

static void send_with_fds(int socket, const uint8_t *data, size_t size, unsigned count)
{
  union {
    char bytes[CMSG_SPACE(8 * sizeof(int))];
    struct cmsghdr align;
  } control;
  struct iovec part = { .iov_base = (void *)(uintptr_t)data, .iov_len = size };
  struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };
  memset(&control, 0, sizeof control);
  if (count > 0) {
    header.msg_control = control.bytes;
    header.msg_controllen = CMSG_SPACE(count * sizeof(int));
    struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(count * sizeof(int));
    int fds[8] = { 0 };
    memcpy(CMSG_DATA(rights), fds, count * sizeof(int));
  }
  (void)sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void judge(const struct sync_message *message)
{
  char text[RECORD_MAX];
  struct exit_record record = { .cause = CAUSE_START_FAILED, .err = message->err };
  size_t length = record_format_exit(text, sizeof text, &record);
  must(is_json_line(text, length));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  int pair[2];
  int next = dup(0);
  must(next >= 0 && close(next) == 0);
  if (size < 2)
    return 0;
  unsigned sent = data[0] % 9;
  unsigned wanted = 1 + data[1] % 8;
  must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
  int on = 1;
  /* Only the supervisor asks for credentials, and only init for descriptors. */
  bool is_init = (data[1] & 128) != 0;
  must(is_init || setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0);
  send_with_fds(pair[1], data + 2, size - 2, sent);

  struct sync_message message;
  if (is_init) {
    int fds[ROOTFS_MAX_FDS];
    memset(fds, -1, sizeof fds);
    if (sync_receive_fds(pair[0], &message, fds, wanted) == 1) {
      judge(&message);
      for (unsigned i = 0; i < wanted; i++)
        must(close(fds[i]) == 0);
    } else {
      /* It leaves, and with it what it was given. */
      must(close_range((unsigned)pair[1] + 1, ~0U, 0) == 0);
    }
  } else {
    struct sync_origin origin;
    if (sync_receive(pair[0], &message, MSG_DONTWAIT, &origin) == 1) {
      must(origin.sender == getpid());
      judge(&message);
      for (unsigned i = 0; i < 2; i++)
        must(origin.fds[i] < 0 || close(origin.fds[i]) == 0);
    }
  }
  (void)close(pair[0]);
  (void)close(pair[1]);
  /* Not one descriptor more than before: a number that is free again says so. */
  int after = dup(0);
  must(after == next && close(after) == 0);
  return 0;
}
