/* What clients of the control socket ask for, and what happens when one goes. */
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <string.h>

#include "exec.h"
#include "lease.h"
#include "libc.h"
#include "supervisor.h"
#include "sync.h"
#include "terminal.h"

/* The program that a request is about: the one it names, or that of its own connection; NULL: the container's. */
static struct exec *target(const struct control_client *client)
{
  return client->request.b == 0 ? client->exec : exec_find(client->request.b);
}

uint32_t signal_payload(int number)
{
  if (self.spec.header != NULL && (uint32_t)number == self.spec.header->stop_signal)
    self.stop_asked = true;
  if (is_alone() && self.phase == RUNNING ? pidfd_send_signal(self.pidfd.fd, number, NULL, 0) == 0
                                          : sync_send(self.sync.fd, SYNC_SIGNAL, number, NULL) == 0)
    return 0;
  return errno == EAGAIN ? EAGAIN : ESRCH;
}

static uint32_t send_signal(const struct control_client *client, uint32_t number)
{
  struct exec *exec = target(client);
  if (number < 1 || number >= NSIG)
    return EINVAL;
  if (exec != NULL)
    return exec_signal(exec, (int)number);
  return client->request.b != 0 ? ESRCH : signal_payload((int)number);
}

static uint32_t resize(const struct control_client *client, uint32_t size)
{
  struct exec *exec = target(client);
  if ((size >> 16) == 0 || (size & 0xffff) == 0)
    return EINVAL;
  if (exec != NULL)
    return exec_resize(exec, size);
  if (client->request.b != 0)
    return ESRCH;
  if (self.terminal[0] < 0)
    return ENOTTY;
  return terminal_resize(self.terminal[0], size) < 0 ? (uint32_t)errno : 0;
}

static uint32_t kill_target(const struct control_client *client)
{
  const struct exec *exec = target(client);
  if (exec != NULL)
    exec_kill(exec);
  else if (client->request.b != 0)
    return ESRCH;
  else
    kill_all();
  return 0;
}

static void attach(struct control_client *client)
{
  const int room = 1 << 20;
  /* What a client may lag behind before it is dropped. */
  (void)setsockopt(client->source.fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
  client->attached = client->subscribed = true;
  client->input = &self.input;
  self.output.quiet = false;
  const struct berth_attached reply = {
    .offsets = { self.output.log.offsets[0], self.output.log.offsets[1] },
    .flags = (self.terminal[0] >= 0 ? BERTH_ATTACHED_TERMINAL : 0) |
             (input_is_open(&self.input) ? BERTH_ATTACHED_INPUT : 0),
  };
  control_reply(client, BERTH_REPLY_ATTACHED, client->request.seq, 0, &reply, sizeof reply);
}

static void on_request(struct control_client *client)
{
  const struct berth_request *request = &client->request;
  uint32_t error = 0;
  switch (request->op) {
  case BERTH_OP_SUBSCRIBE:
    client->subscribed = true;
    /* fallthrough */
  case BERTH_OP_STATUS: {
    char text[RECORD_MAX];
    size_t length = record_format_status(text, sizeof text, &self.status);
    control_reply(client, BERTH_REPLY_STATUS, request->seq, 0, text, length);
    return;
  }
  case BERTH_OP_ATTACH:
    attach(client);
    return;
  case BERTH_OP_EXEC:
    exec_begin(client);
    return;
  case BERTH_OP_INPUT:
    return;
  case BERTH_OP_SIGNAL:
    error = send_signal(client, request->a);
    break;
  case BERTH_OP_RESIZE:
    error = resize(client, request->a);
    break;
  case BERTH_OP_CLOSE_INPUT:
    if (client->input != NULL)
      input_end(client->input);
    break;
  case BERTH_OP_RENEW:
    error = lease_renew((uint64_t)request->b << 32 | request->a);
    break;
  case BERTH_OP_KILL:
    error = kill_target(client);
    break;
  default:
    error = ENOSYS;
    break;
  }
  control_reply(client, BERTH_REPLY_DONE, request->seq, error, NULL, 0);
}

static void on_payload(struct control_client *client)
{
  if (client->request.op == BERTH_OP_EXEC)
    exec_payload(client);
  else
    input_take(client->input, client);
}

static void on_room(struct control_client *client)
{
  control_set_wants_room(client, false);
  if (client->exec != NULL)
    exec_room(client->exec);
}

static void on_close(struct control_client *client)
{
  if (client->exec != NULL)
    exec_abandon(client->exec);
  if (client->attached)
    self.output.quiet = !control_any_attached(&self.control);
}

void requests_install(void)
{
  self.control.on_request = on_request;
  self.control.on_payload = on_payload;
  self.control.on_room = on_room;
  self.control.on_close = on_close;
}
