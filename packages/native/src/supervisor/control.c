#include "control.h"

#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
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

  const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "control.sock" };
  if (unlinkat(state_dir, "control.sock", 0) < 0 && errno != ENOENT)
    return err_sys(err, "control", "remove a stale socket");
  control->listener =
      (struct source){ .ready = on_listener, .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) };
  if (control->listener.fd < 0)
    return err_sys(err, "control", "socket");
  /* From within: sun_path holds 108 bytes, a state directory's path may be longer. */
  mode_t old = umask(0177);
  int bound = fchdir(state_dir);
  if (bound == 0)
    bound = bind(control->listener.fd, (const struct sockaddr *)&address, sizeof address);
  (void)umask(old);
  if (chdir("/") < 0 || bound < 0 || listen(control->listener.fd, CONTROL_MAX_CLIENTS) < 0)
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
  if (client->source.fd < 0)
    return;
  (void)close(client->source.fd);
  client->source.fd = -1;
  client->control->on_close(client);
  client->attached = false;
  client->exec = NULL;
  client->input = NULL;
}

static void rearm(struct control_client *client)
{
  if (client->source.fd >= 0)
    loop_set(&client->source, (client->blocked ? 0u : (uint32_t)EPOLLIN) | (client->wants_room ? (uint32_t)EPOLLOUT : 0u));
}

void control_set_blocked(struct control_client *client, bool blocked)
{
  if (client->blocked != blocked) {
    client->blocked = blocked;
    rearm(client);
  }
}

void control_set_wants_room(struct control_client *client, bool wants)
{
  if (client->wants_room != wants) {
    client->wants_room = wants;
    rearm(client);
  }
}

bool control_any_attached(const struct control *control)
{
  for (unsigned i = 0; i < CONTROL_MAX_CLIENTS; i++)
    if (control->clients[i].source.fd >= 0 && control->clients[i].attached)
      return true;
  return false;
}

static bool has_payload(const struct berth_request *request)
{
  return request->op == BERTH_OP_INPUT || request->op == BERTH_OP_EXEC;
}

/* True when `client->request` is complete and ours. */
static bool read_request(struct control_client *client)
{
  char *at = (char *)&client->request + client->received;
  ssize_t size =
      RETRY_INTR(recv(client->source.fd, at, sizeof client->request - client->received, MSG_DONTWAIT));
  if (size < 0 && errno == EAGAIN)
    return false;
  if (size <= 0) {
    control_close_client(client);
    return false;
  }
  client->received = (uint8_t)(client->received + size);
  /* The first byte says whether the others mean what they mean here. */
  if (client->request.version != BERTH_CONTROL_VERSION) {
    control_reply(client, BERTH_REPLY_REFUSED, 0, EPROTONOSUPPORT, NULL, 0);
    control_close_client(client);
    return false;
  }
  if (client->received < sizeof client->request)
    return false;
  client->received = 0;
  if (client->request.op < BERTH_OP_STATUS || client->request.op > BERTH_OP_LAST || client->request.reserved != 0) {
    control_reply(client, BERTH_REPLY_DONE, client->request.seq, ENOSYS, NULL, 0);
    return false;
  }
  client->left = has_payload(&client->request) ? client->request.a : 0;
  return true;
}

static void on_client(struct source *source, uint32_t events)
{
  struct control_client *client = container_of(source, struct control_client, source);
  if ((events & EPOLLERR) != 0 || ((events & EPOLLHUP) != 0 && client->blocked)) {
    control_close_client(client);
    return;
  }
  if ((events & EPOLLOUT) != 0)
    client->control->on_room(client);
  if (client->source.fd < 0 || (events & (EPOLLIN | EPOLLHUP)) == 0 || client->blocked)
    return;
  if (client->left > 0)
    client->control->on_payload(client);
  else if (read_request(client))
    client->control->on_request(client);
}

static bool send_frame(struct control_client *client, const void *frame, size_t total)
{
  ssize_t sent = RETRY_INTR(send(client->source.fd, frame, total, MSG_NOSIGNAL | MSG_DONTWAIT));
  if (sent >= 0 && (size_t)sent == total)
    return true;
  control_close_client(client);
  return false;
}

void control_reply(struct control_client *client, uint8_t type, uint32_t seq, uint32_t error, const void *payload,
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
  (void)send_frame(client, frame, sizeof header + length);
}

void control_broadcast(struct control *control, uint8_t type, const char *payload, size_t length)
{
  for (unsigned i = 0; i < CONTROL_MAX_CLIENTS; i++)
    if (control->clients[i].source.fd >= 0 && control->clients[i].subscribed)
      control_reply(&control->clients[i], type, 0, 0, payload, length);
}

bool control_send_output(struct control_client *client, uint8_t stream, unsigned char *bytes, size_t length)
{
  struct berth_reply header = {
    .version = BERTH_CONTROL_VERSION, .type = BERTH_EVENT_OUTPUT, .error = stream, .length = (uint32_t)length
  };
  memcpy(bytes - sizeof header, &header, sizeof header);
  return send_frame(client, bytes - sizeof header, sizeof header + length);
}

void control_fan_out(struct control *control, uint8_t stream, unsigned char *bytes, size_t length)
{
  for (unsigned i = 0; i < CONTROL_MAX_CLIENTS; i++)
    if (control->clients[i].source.fd >= 0 && control->clients[i].attached)
      (void)control_send_output(&control->clients[i], stream, bytes, length);
}

bool control_has_room(const struct control_client *client)
{
  /* Writable means that at most a quarter of the send buffer, 208 KiB or more, is in use (unix_writable). */
  struct pollfd poll_client = { .fd = client->source.fd, .events = POLLOUT };
  return RETRY_INTR(poll(&poll_client, 1, 0)) == 1 && (poll_client.revents & POLLOUT) != 0;
}

bool control_await_close(struct control *control, int patience_ms)
{
  for (unsigned i = 0; i < CONTROL_MAX_CLIENTS; i++) {
    struct control_client *client = &control->clients[i];
    if (client->source.fd < 0 || !client->subscribed)
      continue;
    struct pollfd source = { .fd = client->source.fd, .events = POLLRDHUP };
    return RETRY_INTR(poll(&source, 1, patience_ms)) > 0;
  }
  return false;
}
