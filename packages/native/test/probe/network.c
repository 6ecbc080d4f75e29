/* Sockets and System V and POSIX objects: own loopback, nothing of the host, nothing of a neighbour. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe.h"

static void probe_families(void)
{
  static const int expected[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };
  for (int family = 1; family < 64; family++) {
    static const int kinds[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_RAW, SOCK_RDM };
    bool known = false;
    for (unsigned i = 0; i < sizeof expected / sizeof *expected; i++)
      known = known || family == expected[i];
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
      attempt();
      int pair[2];
      int fd = socket(family, kinds[i] | SOCK_CLOEXEC, 0);
      if (!known && family != AF_PACKET &&
          (socketpair(family, kinds[i] | SOCK_CLOEXEC, 0, pair) == 0 || errno != EAFNOSUPPORT))
        finding("socket", "a pair of family %d, type %d", family, kinds[i]);
      if (fd >= 0 && !known)
        finding("socket", "family %d, type %d", family, kinds[i]);
      if (fd >= 0)
        (void)close(fd);
    }
  }
  static const int raw[] = { IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_RAW };
  for (unsigned i = 0; i < sizeof raw / sizeof *raw; i++) {
    must_refuse("socket", "raw IPv4", socket(AF_INET, SOCK_RAW, raw[i]));
    must_refuse("socket", "raw IPv6", socket(AF_INET6, SOCK_RAW, raw[i]));
  }
  must_refuse("socket", "packets", socket(AF_PACKET, SOCK_RAW, 0) < 0 && errno == EAFNOSUPPORT ? (errno = EPERM, -1) : -1);
}

/* Kinds of netlink that speak of the machine. */
static void probe_netlink(void)
{
  static const struct {
    const char *name;
    int protocol;
    unsigned groups;
  } kinds[] = { { "audit", NETLINK_AUDIT, 1 },       { "connector", NETLINK_CONNECTOR, 1 },
                { "selinux", NETLINK_SELINUX, 1 },   { "scsi", NETLINK_SCSITRANSPORT, 1 },
                { "crypto", NETLINK_CRYPTO, 1 },     { "netfilter", NETLINK_NETFILTER, 1 } };
  for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    attempt();
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, kinds[i].protocol);
    if (fd < 0)
      continue;
    struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = kinds[i].groups };
    /* In a network namespace of one's own a group may be joined in which nothing is ever said. */
    char event[256];
    if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0) {
      pid_t child = fork();
      if (child == 0)
        _exit(0);
      (void)waitpid(child, NULL, 0);
      if (recv(fd, event, sizeof event, MSG_DONTWAIT) > 0)
        finding("netlink", "events of %s can be had", kinds[i].name);
    }
    (void)close(fd);
  }
}

static void probe_links(void)
{
  attempt();
  struct if_nameindex *links = if_nameindex();
  for (struct if_nameindex *link = links; link != NULL && link->if_name != NULL; link++)
    if (strcmp(link->if_name, "lo") != 0)
      finding("network", "there is a link %s", link->if_name);
  if (links != NULL)
    if_freenameindex(links);
}

static void probe_host_sockets(void)
{
  if (outside.abstract_socket != NULL) {
    attempt();
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t length = strlen(outside.abstract_socket);
    memcpy(address.sun_path + 1, outside.abstract_socket, length);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length)) == 0)
      finding("network", "an abstract socket of the host answers");
    (void)close(fd);
  }
  if (outside.tcp_port != 0) {
    static const char *const names[] = { "127.0.0.1", "127.0.0.53", "169.254.169.254" };
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
      attempt();
      struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)outside.tcp_port) };
      (void)inet_pton(AF_INET, names[i], &address.sin_addr);
      int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EINPROGRESS) {
        int error = -1;
        socklen_t size = sizeof error;
        (void)usleep(50000);
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0 &&
            send(fd, "x", 1, MSG_NOSIGNAL) == 1)
          finding("network", "%s:%d of the host answers", names[i], outside.tcp_port);
      }
      (void)close(fd);
    }
  }
}

static void probe_ipc(void)
{
  attempt();
  if (outside.shm_key != 0 && shmget(outside.shm_key, 0, 0) >= 0)
    finding("ipc", "a shared memory segment of the host");
  if (outside.mqueue != NULL && mq_open(outside.mqueue, O_RDONLY) >= 0)
    finding("ipc", "a message queue of the host");
  struct shm_info shm;
  struct seminfo sem;
  struct msginfo msg;
  if (shmctl(0, SHM_INFO, (struct shmid_ds *)&shm) > 0 || (shm.used_ids != 0))
    finding("ipc", "%d shared memory segments", shm.used_ids);
  if (semctl(0, 0, SEM_INFO, &sem) > 0)
    finding("ipc", "%d semaphore sets", sem.semusz);
  if (msgctl(0, MSG_INFO, (struct msqid_ds *)&msg) > 0)
    finding("ipc", "%d message queues", msg.msgpool);
  static const char *const dirs[] = { "/dev/mqueue", "/dev/shm" };
  for (unsigned i = 0; i < sizeof dirs / sizeof *dirs; i++) {
    attempt();
    DIR *dir = opendir(dirs[i]);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;)
      if (entry->d_name[0] != '.')
        finding("ipc", "%s/%s", dirs[i], entry->d_name);
    if (dir != NULL)
      (void)closedir(dir);
  }
}

void probe_network(void)
{
  probe_families();
  probe_netlink();
  probe_links();
  probe_host_sockets();
  probe_ipc();
}
