#include "control.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "fd.h"

static void on_client(struct source *source, uint32_t events);
static void on_listener(struct source *source, uint32_t events);

int control_open(struct control *control, int state_dir, int first, struct err *err)
{
  for (unsigned i = 0; i < CONTROL_MAX_CLIENTS; i++)
    control->clients[i] = (struct control_client){ .source = { .ready = on_client, .fd = -1 }, .control = control };
  control->clients[0].source.fd = first;
  control->clients[0].subscribed = true;
  if (fcntl(first, F_SETFL, O_NONBLOCK) < 0 || fcntl(first, F_SETFD, FD_CLOEXEC) < 0)
    return err_sys(err, "control", "first client");

  /* Through the descriptor: sun_path holds 108 bytes, a state directory's path may be longer. */
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  (void)snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/control.sock", state_dir);
  if (unlinkat(state_dir, "control.sock", 0) < 0 && errno != ENOENT)
    return err_sys(err, "control", "remove a stale socket");
  control->listener =
      (struct source){ .ready = on_listener, .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) };
  if (control->listener.fd < 0)
    return err_sys(err, "control", "socket");
  mode_t old = umask(0177);
  int bound = bind(control->listener.fd, (const struct sockaddr *)&address, sizeof address);
  (void)umask(old);
  if (bound < 0 || listen(control->listener.fd, CONTROL_MAX_CLIENTS) < 0)
    return err_sys(err, "control", "listen on control.sock");
  return 0;
}

int control_watch(struct control *control, struct err *err)
{
  if (loop_add(&control->listener, EPOLLIN, err) < 0)
    return -1;
  struct source *first = &control->clients[0].source;
  return first->fd >= 0 ? loop_add(first, EPOLLIN, err) : 0;
}

static void on_listener(struct source *source, uint32_t events)
{
  struct control *control = container_of(source, struct control, listener);
  struct err ignored;
  (void)events;
  cleanup_close int fd = RETRY_INTR(accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (fd < 0)
    return;
  struct ucred peer;
  socklen_t length = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0 || peer.uid != geteuid())
    return;
  for (unsigned i = 0; i < CONTROL_MAX_CLIENTS; i++) {
    struct control_client *client = &control->clients[i];
    if (client->source.fd < 0) {
      *client = (struct control_client){ .source = { .ready = on_client, .fd = fd_take(&fd) }, .control = control };
      if (loop_add(&client->source, EPOLLIN, &ignored) < 0)
        control_close_client(client);
      return;
    }
  }
}

void control_close_client(struct control_client *client)
{
  if (client->source.fd >= 0)
    (void)close(client->source.fd);
  client->source.fd = -1;
}

/* 1: `client->request` is complete and well-formed; 0: not yet; -1: the client was dropped. */
static int read_request(struct control_client *client)
{
  char *at = (char *)&client->request + client->received;
  ssize_t size =
      RETRY_INTR(recv(client->source.fd, at, sizeof client->request - client->received, MSG_DONTWAIT));
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

static void on_client(struct source *source, uint32_t events)
{
  struct control_client *client = container_of(source, struct control_client, source);
  (void)events;
  if (read_request(client) > 0)
    client->control->on_request(client);
}

void control_reply(struct control_client *client, uint8_t type, uint32_t seq, uint32_t error, const char *payload,
                   size_t length)
{
  if (client->source.fd < 0)
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
  ssize_t sent = RETRY_INTR(send(client->source.fd, frame, total, MSG_NOSIGNAL | MSG_DONTWAIT));
  if (sent < 0 || (size_t)sent != total)
    control_close_client(client);
}

void control_broadcast(struct control *control, uint8_t type, const char *payload, size_t length)
{
  for (unsigned i = 0; i < CONTROL_MAX_CLIENTS; i++)
    if (control->clients[i].source.fd >= 0 && control->clients[i].subscribed)
      control_reply(&control->clients[i], type, 0, 0, payload, length);
}
