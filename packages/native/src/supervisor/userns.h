/* The container's user namespace, seen from the host. */
#ifndef BERTH_USERNS_H
#define BERTH_USERNS_H

#include <stdint.h>
#include <sys/types.h>

#include "err.h"

/*
 * What the kernel counts by user (inotify instances and watches, queued signals, bytes of message queues, processes) it also
 * counts to whoever made the user namespace: were that the host's root, a container that takes all of it would leave nothing
 * to others, nor to root's own programs. So each is made under an effective id of its own, which no process ever has
 * otherwise. Where there are no such ids (lib/owners.ts says so to the operator) it is made by root.
 */
void userns_pose(void);
/* Root again. Who is born or unshares in between needs not call this. */
void userns_unpose(void);

/* What is written to give a user namespace its ids, and the namespace itself, which id-mapped mounts need. */
struct userns_files {
  int maps[3];
  int namespace;
};
#define USERNS_NO_FILES { { -1, -1, -1 }, -1 }
/* Of process `pid`, whose namespace is new. */
int userns_open(struct userns_files *files, pid_t pid, struct err *err);
/* Maps ids 0..65535 to the host's `id_base`..; returns the descriptor of the namespace, or -1. All others are closed. */
int userns_give(struct userns_files *files, uint32_t id_base, struct err *err);
void userns_close(struct userns_files *files);
/* All of it at once. */
int userns_map(pid_t pid, uint32_t id_base, struct err *err);

/* The same for a user namespace that was joined: its map must be the one that the spec says. */
int userns_joined(pid_t pid, uint32_t id_base, struct err *err);

#endif
