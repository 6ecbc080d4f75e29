/* Any bytes, in pieces of any size, as a client of the control socket: what is handed on is a request as documented. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../src/supervisor/control.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  int pair[2];
  must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
  struct control_client client = { .fd = pair[0] };
  while (size > 0 && client.fd >= 0) {
    size_t piece = 1 + data[0] % 40;
    data++;
    size--;
    if (piece > size)
      piece = size;
    if (piece > 0)
      must(send(pair[1], data, piece, MSG_NOSIGNAL) == (ssize_t)piece);
    data += piece;
    size -= piece;
    int state;
    while (client.fd >= 0 && (state = control_read(&client)) > 0) {
      must(client.request.version == BERTH_CONTROL_VERSION && client.request.reserved == 0);
      must(client.request.op >= BERTH_OP_STATUS);
      /* An answer of any size is one frame or a closed connection. */
      char payload[4096];
      memset(payload, 'x', sizeof payload);
      control_reply(&client, BERTH_REPLY_STATUS, client.request.seq, 0, payload, client.request.a % sizeof payload);
      if (client.fd >= 0) {
        unsigned char frame[sizeof(struct berth_reply) + BERTH_REPLY_MAX_PAYLOAD + 1];
        struct berth_reply reply;
        ssize_t length = recv(pair[1], frame, sizeof frame, MSG_DONTWAIT);
        must(length >= (ssize_t)sizeof reply);
        memcpy(&reply, frame, sizeof reply);
        must((size_t)length == sizeof reply + reply.length && reply.length <= BERTH_REPLY_MAX_PAYLOAD);
      }
    }
  }
  control_close_client(&client);
  (void)close(pair[1]);
  return 0;
}
