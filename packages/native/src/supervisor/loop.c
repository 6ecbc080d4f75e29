#include "loop.h"

#include "fd.h"

static int epoll = -1;

int loop_open(struct err *err)
{
  if (epoll < 0)
    epoll = epoll_create1(EPOLL_CLOEXEC);
  return epoll < 0 ? err_sys(err, "init", "epoll_create1") : 0;
}

int loop_add(struct source *source, uint32_t events, struct err *err)
{
  struct epoll_event event = { .events = events, .data.ptr = source };
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, source->fd, &event) < 0)
    return err_sys(err, "init", "epoll_ctl");
  return 0;
}

void loop_set(struct source *source, uint32_t events)
{
  struct epoll_event event = { .events = events, .data.ptr = source };
  (void)epoll_ctl(epoll, EPOLL_CTL_MOD, source->fd, &event);
}

void loop_remove(struct source *source)
{
  (void)epoll_ctl(epoll, EPOLL_CTL_DEL, source->fd, NULL);
}

void loop_close(struct source *source)
{
  if (source->fd < 0)
    return;
  loop_remove(source);
  (void)close(source->fd);
  source->fd = -1;
}

/* One at a time: what a handler closes or opens again can then have no event waiting behind it. The kernel moves what
   was reported to the end of its list, so nobody starves. */
void loop_once(int timeout_ms)
{
  struct epoll_event event;
  if (epoll_wait(epoll, &event, 1, timeout_ms) == 1) {
    struct source *source = event.data.ptr;
    source->ready(source, event.events);
  }
}
