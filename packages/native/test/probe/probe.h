/*
 * The isolation probe: one static program that stands inside a container and tries whatever could reach the host or a
 * neighbour. Each finding is a JSON line {"probe", "detail"}; the last line is {"probe":"end", ...} with the number of
 * attempts. It changes nothing that it can help: files are opened for writing, not written.
 */
#ifndef PROBE_H
#define PROBE_H

#include <stdbool.h>
#include <stddef.h>

/* What is known from outside and must not be seen inside. Any of them may be NULL. */
struct outside {
  const char *canaries[16]; /* texts that belong to the host: a directory, its name, a secret of the agent */
  unsigned canary_count;
  const char *abstract_socket; /* a listening abstract unix socket of the host, without its NUL */
  int tcp_port;                /* a listening port on the host's 127.0.0.1 */
  int shm_key;                 /* a System V segment of the host */
  const char *mqueue;          /* a message queue of the host */
  const char *namespaces;      /* "user:[1] mnt:[2] …" of the host */
};

extern struct outside outside;

__attribute__((format(printf, 2, 3))) void finding(const char *probe, const char *detail, ...);
/* Counts an attempt, so that a probe that tried nothing cannot look like one that found nothing. */
void attempt(void);
/* Result of something that must be refused for want of permission. */
void must_refuse(const char *probe, const char *what, long result);
/* For what may end or change the process; that it ended is a finding as well. */
void in_child(const char *what, void (*body)(void));
/* A small file as text; -1 when it cannot be read. */
long slurp(const char *path, char *buffer, size_t size);

void probe_files(void);   /* writable interfaces, leaks, what names the host */
void probe_self(void);    /* privileges, limits, descriptors, environment, namespaces */
void probe_calls(void);   /* system calls */
void probe_network(void); /* sockets, ipc */
void probe_others(void);  /* processes, devices, ways out of the root */

#endif
