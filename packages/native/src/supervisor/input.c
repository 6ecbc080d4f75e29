#include "input.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "fd.h"

/* A pipe that is not full takes this much at once (pipe(7), PIPE_BUF). */
#define PIECE 4096

static void on_writable(struct source *source, uint32_t events)
{
  struct input *input = container_of(source, struct input, source);
  (void)events;
  loop_remove(source);
  input->awaited = false;
  for (unsigned i = 0; i < CONTROL_MAX_CLIENTS; i++) {
    struct control_client *client = &input->control->clients[i];
    if (client->source.fd >= 0 && client->input == input)
      control_set_blocked(client, false);
  }
}

void input_init(struct input *input, struct control *control)
{
  *input = (struct input){ .source = { .ready = on_writable, .fd = -1 }, .control = control };
}

int input_open_pipe(struct input *input, uid_t owner, struct err *err)
{
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0)
    return err_sys(err, "stdio", "pipe for input");
  input->source.fd = ends[1];
  if (fcntl(ends[1], F_SETFL, O_NONBLOCK) < 0 || fchown(ends[0], owner, owner) < 0) {
    (void)err_sys(err, "stdio", "prepare the pipe for input");
    (void)close(ends[0]);
    return -1;
  }
  return ends[0];
}

int input_use_terminal(struct input *input, int master, struct err *err)
{
  /* A descriptor of its own: the other one is watched for output. */
  input->source.fd = fcntl(master, F_DUPFD_CLOEXEC, 3);
  input->terminal = true;
  return input->source.fd < 0 ? err_sys(err, "stdio", "duplicate the terminal") : 0;
}

bool input_is_open(const struct input *input)
{
  return input->source.fd >= 0;
}

static void throw_away(struct control_client *client, size_t most)
{
  char scrap[PIECE];
  ssize_t size = RETRY_INTR(recv(client->source.fd, scrap, most < PIECE ? most : PIECE, MSG_DONTWAIT));
  if (size == 0 || (size < 0 && errno != EAGAIN))
    control_close_client(client);
  else if (size > 0)
    client->left -= (uint32_t)size;
}

static void wait_for_room(struct input *input, struct control_client *client)
{
  struct err ignored;
  if (!input->awaited && loop_add(&input->source, EPOLLOUT, &ignored) < 0)
    return;
  input->awaited = true;
  control_set_blocked(client, true);
}

void input_take(struct input *input, struct control_client *client)
{
  char bytes[PIECE];
  if (input == NULL || !input_is_open(input)) {
    throw_away(client, client->left);
    return;
  }
  ssize_t size =
      RETRY_INTR(recv(client->source.fd, bytes, client->left < PIECE ? client->left : PIECE, MSG_DONTWAIT | MSG_PEEK));
  if (size <= 0) {
    if (size == 0 || errno != EAGAIN)
      control_close_client(client);
    return;
  }
  ssize_t written = RETRY_INTR(write(input->source.fd, bytes, (size_t)size));
  if (written > 0)
    throw_away(client, (size_t)written);
  else if (written < 0 && errno == EAGAIN)
    wait_for_room(input, client);
  else
    input_close(input); /* EPIPE: nobody will read it any more */
}

void input_end(struct input *input)
{
  if (!input->terminal)
    input_close(input);
  else if (input_is_open(input))
    (void)!write(input->source.fd, "\4", 1);
}

void input_close(struct input *input)
{
  if (!input_is_open(input))
    return;
  if (input->awaited)
    on_writable(&input->source, 0);
  (void)close(input->source.fd);
  input->source.fd = -1;
}
