#include "control.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "fd.h"

int control_open(struct control *control, int state_dir, int first, struct err *err)
{
  for (unsigned i = 0; i < CONTROL_MAX_CLIENTS; i++)
    control->clients[i].fd = -1;
  control->clients[0] = (struct control_client){ .fd = first, .subscribed = true };
  if (fcntl(first, F_SETFL, O_NONBLOCK) < 0 || fcntl(first, F_SETFD, FD_CLOEXEC) < 0)
    return err_sys(err, "control", "first client");

  /* Through the descriptor: sun_path holds 108 bytes, a state directory's path may be longer. */
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  (void)snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/control.sock", state_dir);
  if (unlinkat(state_dir, "control.sock", 0) < 0 && errno != ENOENT)
    return err_sys(err, "control", "remove a stale socket");
  control->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (control->listener < 0)
    return err_sys(err, "control", "socket");
  mode_t old = umask(0177);
  int bound = bind(control->listener, (const struct sockaddr *)&address, sizeof address);
  (void)umask(old);
  if (bound < 0 || listen(control->listener, CONTROL_MAX_CLIENTS) < 0)
    return err_sys(err, "control", "listen on control.sock");
  return 0;
}

struct control_client *control_accept(struct control *control)
{
  cleanup_close int fd = RETRY_INTR(accept4(control->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (fd < 0)
    return NULL;
  struct ucred peer;
  socklen_t length = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0 || peer.uid != geteuid())
    return NULL;
  for (unsigned i = 0; i < CONTROL_MAX_CLIENTS; i++) {
    struct control_client *client = &control->clients[i];
    if (client->fd < 0) {
      *client = (struct control_client){ .fd = fd_take(&fd) };
      return client;
    }
  }
  return NULL;
}

void control_close_client(struct control_client *client)
{
  if (client->fd >= 0)
    (void)close(client->fd);
  client->fd = -1;
}

int control_read(struct control_client *client)
{
  char *at = (char *)&client->request + client->received;
  ssize_t size = RETRY_INTR(recv(client->fd, at, sizeof client->request - client->received, MSG_DONTWAIT));
  if (size < 0 && errno == EAGAIN)
    return 0;
  if (size <= 0) {
    control_close_client(client);
    return -1;
  }
  client->received = (uint8_t)(client->received + size);
  if (client->received < sizeof client->request)
    return 0;
  client->received = 0;
  /* Whoever speaks another protocol gets no answer in this one. */
  if (client->request.version != BERTH_CONTROL_VERSION || client->request.reserved != 0 ||
      client->request.op < BERTH_OP_STATUS || client->request.op > BERTH_OP_SUBSCRIBE) {
    control_close_client(client);
    return -1;
  }
  return 1;
}

void control_reply(struct control_client *client, uint8_t type, uint32_t seq, uint32_t error, const char *payload,
                   size_t length)
{
  if (client->fd < 0)
    return;
  unsigned char frame[sizeof(struct berth_reply) + BERTH_REPLY_MAX_PAYLOAD];
  if (length > BERTH_REPLY_MAX_PAYLOAD)
    length = BERTH_REPLY_MAX_PAYLOAD;
  struct berth_reply header = {
    .version = BERTH_CONTROL_VERSION, .type = type, .seq = seq, .error = error, .length = (uint32_t)length
  };
  memcpy(frame, &header, sizeof header);
  if (length > 0)
    memcpy(frame + sizeof header, payload, length);
  size_t total = sizeof header + length;
  ssize_t sent = RETRY_INTR(send(client->fd, frame, total, MSG_NOSIGNAL | MSG_DONTWAIT));
  if (sent < 0 || (size_t)sent != total)
    control_close_client(client);
}

void control_broadcast(struct control *control, uint8_t type, const char *payload, size_t length)
{
  for (unsigned i = 0; i < CONTROL_MAX_CLIENTS; i++)
    if (control->clients[i].fd >= 0 && control->clients[i].subscribed)
      control_reply(&control->clients[i], type, 0, 0, payload, length);
}
