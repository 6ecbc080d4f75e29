/* Any bytes, in pieces of any size, as a client of the control socket: what is handed on is a request as documented. */
#include "../src/supervisor/control.c"

#include <unistd.h>

#include "fuzz.h"

static int peer = -1;

static void on_request(struct control_client *client)
{
  const struct berth_request *request = &client->request;
  must(request->version == BERTH_CONTROL_VERSION && request->reserved == 0);
  must(request->op >= BERTH_OP_STATUS && request->op <= BERTH_OP_LAST);
  must(client->left == (has_payload(request) ? request->a : 0));
  /* An answer of any size is one frame or a closed connection. */
  char payload[4096];
  memset(payload, 'x', sizeof payload);
  control_reply(client, BERTH_REPLY_STATUS, request->seq, 0, payload, request->a % sizeof payload);
  if (client->source.fd < 0)
    return;
  unsigned char frame[sizeof(struct berth_reply) + BERTH_REPLY_MAX_PAYLOAD + 1];
  struct berth_reply reply;
  ssize_t length = recv(peer, frame, sizeof frame, MSG_DONTWAIT);
  must(length >= (ssize_t)sizeof reply);
  memcpy(&reply, frame, sizeof reply);
  must((size_t)length == sizeof reply + reply.length && reply.length <= BERTH_REPLY_MAX_PAYLOAD);
}

static void on_payload(struct control_client *client)
{
  char bytes[64];
  must(client->left > 0);
  ssize_t size = recv(client->source.fd, bytes, client->left < sizeof bytes ? client->left : sizeof bytes, MSG_DONTWAIT);
  if (size > 0)
    client->left -= (uint32_t)size;
}

static void on_room(struct control_client *client)
{
  must(client->source.fd >= 0);
}

static void on_close(struct control_client *client)
{
  must(client->source.fd < 0);
}

static bool is_readable(int fd)
{
  struct pollfd source = { .fd = fd, .events = POLLIN };
  return fd >= 0 && poll(&source, 1, 0) > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static struct control control = {
    .on_request = on_request, .on_payload = on_payload, .on_room = on_room, .on_close = on_close
  };
  struct control_client *client = &control.clients[0];
  int pair[2];
  must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
  *client = (struct control_client){ .source = { .ready = on_client, .fd = pair[0] }, .control = &control };
  peer = pair[1];
  while (size > 0 && client->source.fd >= 0) {
    size_t piece = 1 + data[0] % 40;
    data++;
    size--;
    if (piece > size)
      piece = size;
    if (piece > 0)
      must(send(peer, data, piece, MSG_NOSIGNAL) == (ssize_t)piece);
    data += piece;
    size -= piece;
    while (is_readable(client->source.fd)) {
      unsigned char ignored[512];
      on_client(&client->source, EPOLLIN);
      while (recv(peer, ignored, sizeof ignored, MSG_DONTWAIT) > 0) {
      }
    }
  }
  control_close_client(client);
  (void)close(peer);
  return 0;
}
