#include "sync.h"

#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "fd.h"
#include "libc.h"
#include "rootfs.h"

int sync_send(int socket, uint32_t kind, int32_t value, const struct err *err)
{
  struct sync_message message;
  memset(&message, 0, sizeof message);
  message.kind = kind;
  message.value = value;
  if (err != NULL)
    message.err = *err;
  return RETRY_INTR(send(socket, &message, sizeof message, MSG_NOSIGNAL)) < 0 ? -1 : 0;
}

int sync_send_fds(int socket, uint32_t kind, const int *fds, unsigned count)
{
  struct sync_message message;
  union {
    char bytes[CMSG_SPACE(ROOTFS_MAX_FDS * sizeof(int))];
    struct cmsghdr align;
  } control;
  memset(&message, 0, sizeof message);
  memset(&control, 0, sizeof control);
  message.kind = kind;
  struct iovec part = { .iov_base = &message, .iov_len = sizeof message };
  struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes };
  header.msg_controllen = (__typeof__(header.msg_controllen))CMSG_SPACE(count * sizeof(int));
  struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = (__typeof__(rights->cmsg_len))CMSG_LEN(count * sizeof(int));
  memcpy(CMSG_DATA(rights), fds, count * sizeof(int));
  return RETRY_INTR(sendmsg(socket, &header, MSG_NOSIGNAL)) < 0 ? -1 : 0;
}

/* Believed only as far as it goes: whoever writes it runs in the container, and text without an end is no text. */
static int checked(struct sync_message *message, ssize_t length)
{
  if ((size_t)length != sizeof *message) {
    errno = EPROTO;
    return -1;
  }
  message->err.stage[sizeof message->err.stage - 1] = '\0';
  message->err.detail[sizeof message->err.detail - 1] = '\0';
  return 0;
}

/* Who ends without having read everything leaves an error, which the kernel tells once and before what that one had sent
   (unix_release_sock in net/unix/af_unix.c): its last words are behind it. */
static ssize_t receive(int socket, struct msghdr *header, int flags)
{
  ssize_t length;
  do
    length = recvmsg(socket, header, flags | MSG_CMSG_CLOEXEC);
  while (length < 0 && (errno == EINTR || errno == ECONNRESET));
  return length;
}

/* Nobody asked for these: whoever sends them must not fill our table. */
static void close_rights(struct cmsghdr *item)
{
  size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
  for (size_t i = 0; i < count; i++) {
    int fd;
    memcpy(&fd, CMSG_DATA(item) + i * sizeof fd, sizeof fd);
    (void)close(fd);
  }
}

int sync_receive(int socket, struct sync_message *message, int flags, struct sync_origin *origin)
{
  union {
    char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof origin->fds)];
    struct cmsghdr align;
  } control;
  struct iovec part = { .iov_base = message, .iov_len = sizeof *message };
  struct msghdr header = {
    .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes
  };
  if (origin != NULL)
    *origin = (struct sync_origin){ .fds = { -1, -1 } };
  ssize_t length = receive(socket, &header, flags);
  if (length < 0)
    return -1;
  if (length == 0)
    return 0;
  bool whole = checked(message, length) == 0;
  for (struct cmsghdr *item = CMSG_FIRSTHDR(&header); item != NULL; item = control_after(&header, item)) {
    if (item->cmsg_level == SOL_SOCKET && item->cmsg_type == SCM_CREDENTIALS && origin != NULL) {
      struct ucred credentials;
      memcpy(&credentials, CMSG_DATA(item), sizeof credentials);
      origin->sender = credentials.pid;
    } else if (item->cmsg_level == SOL_SOCKET && item->cmsg_type == SCM_RIGHTS) {
      bool wanted = whole && origin != NULL && message->kind == SYNC_TERMINAL &&
                    item->cmsg_len == CMSG_LEN(sizeof origin->fds);
      if (wanted)
        memcpy(origin->fds, CMSG_DATA(item), sizeof origin->fds);
      else
        close_rights(item);
    }
  }
  if (whole)
    return 1;
  errno = EPROTO;
  return -1;
}

int sync_receive_fds(int socket, struct sync_message *message, int *fds, unsigned count)
{
  union {
    char bytes[CMSG_SPACE(ROOTFS_MAX_FDS * sizeof(int))];
    struct cmsghdr align;
  } control;
  struct iovec part = { .iov_base = message, .iov_len = sizeof *message };
  struct msghdr header = {
    .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes
  };
  ssize_t length = receive(socket, &header, 0);
  if (length <= 0)
    return (int)length;
  if (checked(message, length) < 0)
    return -1;
  struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
  if (rights == NULL || rights->cmsg_type != SCM_RIGHTS ||
      rights->cmsg_len != CMSG_LEN(count * sizeof(int))) {
    errno = EPROTO;
    return -1;
  }
  memcpy(fds, CMSG_DATA(rights), count * sizeof(int));
  return 1;
}
