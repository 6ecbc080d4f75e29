/* The event loop: descriptors and who is told when one is ready. Level-triggered, one event at a time, no allocation. */
#ifndef BERTH_LOOP_H
#define BERTH_LOOP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "err.h"

/* Part of whatever is woken: `container_of` leads back to it. */
struct source {
  void (*ready)(struct source *source, uint32_t events);
  int fd; /* -1: not watched */
};

#define container_of(pointer, type, member) ((type *)(void *)((char *)(pointer) - offsetof(type, member)))

int loop_open(struct err *err);
/* Watches `source->fd` for `events`; EPOLLHUP and EPOLLERR are always reported. */
int loop_add(struct source *source, uint32_t events, struct err *err);
void loop_set(struct source *source, uint32_t events);
/* Stops watching; the descriptor stays open. */
void loop_remove(struct source *source);
/* The same, and closes it. Nothing happens to one that is closed. */
void loop_close(struct source *source);
/* Waits for at most `timeout_ms` (-1: for ever) and calls one source. */
void loop_once(int timeout_ms);

#endif
