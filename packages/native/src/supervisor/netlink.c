/*
 * The kernel handles the messages of one send in order and goes on after one that it refuses. Every message asks for an
 * answer, so that as many answers come as messages went; nothing waits in between.
 */
#include "netlink.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "fd.h"

int netlink_open(struct netlink *netlink, struct err *err)
{
  netlink->count = 0;
  netlink->length = 0;
  netlink->depth = 0;
  netlink->overflow = false;
  netlink->socket = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (netlink->socket < 0)
    return err_sys(err, "net", "open rtnetlink");
  const int on = 1;
  /* An answer then holds no copy of the question. */
  (void)setsockopt(netlink->socket, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  return 0;
}

void netlink_close(struct netlink *netlink)
{
  if (netlink->socket >= 0)
    (void)close(netlink->socket);
  netlink->socket = -1;
}

/* Room for `size` bytes at the end, zeroed up to the alignment. */
static void *extend(struct netlink *netlink, size_t size)
{
  static _Alignas(8) unsigned char scrap[NETLINK_MAX_BYTES];
  size_t padded = NLMSG_ALIGN(size);
  if (netlink->overflow || padded > sizeof netlink->bytes - netlink->length) {
    netlink->overflow = true;
    return size <= sizeof scrap ? memset(scrap, 0, sizeof scrap) : NULL;
  }
  void *at = memset(netlink->bytes + netlink->length, 0, padded);
  netlink->length += padded;
  struct nlmsghdr *header = (struct nlmsghdr *)(void *)(netlink->bytes + netlink->message);
  header->nlmsg_len = (uint32_t)(netlink->length - netlink->message);
  return at;
}

void *netlink_message(struct netlink *netlink, uint16_t type, uint16_t flags, size_t size, const char *name)
{
  netlink->message = netlink->length;
  if (netlink->count == NETLINK_MAX_MESSAGES)
    netlink->overflow = true;
  struct nlmsghdr *header = extend(netlink, sizeof *header);
  if (!netlink->overflow) {
    netlink->names[netlink->count] = name;
    header->nlmsg_type = type;
    header->nlmsg_flags = (uint16_t)(flags | NLM_F_REQUEST | NLM_F_ACK);
    header->nlmsg_seq = ++netlink->count;
    header->nlmsg_len = sizeof *header;
  }
  return extend(netlink, size);
}

static struct rtattr *attribute(struct netlink *netlink, uint16_t type, size_t size)
{
  struct rtattr *attr = extend(netlink, RTA_LENGTH(size));
  attr->rta_type = type;
  attr->rta_len = (uint16_t)RTA_LENGTH(size);
  return attr;
}

void netlink_put(struct netlink *netlink, uint16_t type, const void *data, size_t size)
{
  memcpy(RTA_DATA(attribute(netlink, type, size)), data, size);
}

void netlink_put_u8(struct netlink *netlink, uint16_t type, uint8_t value)
{
  netlink_put(netlink, type, &value, sizeof value);
}

void netlink_put_u32(struct netlink *netlink, uint16_t type, uint32_t value)
{
  netlink_put(netlink, type, &value, sizeof value);
}

void netlink_put_text(struct netlink *netlink, uint16_t type, const char *text)
{
  netlink_put(netlink, type, text, strlen(text) + 1);
}

void *netlink_begin(struct netlink *netlink, uint16_t type, size_t size)
{
  size_t offset = netlink->length;
  struct rtattr *attr = attribute(netlink, type, size);
  if (netlink->depth == NETLINK_MAX_NEST)
    netlink->overflow = true;
  else
    netlink->nest[netlink->depth++] = offset;
  return RTA_DATA(attr);
}

void netlink_end(struct netlink *netlink)
{
  if (netlink->overflow || netlink->depth == 0)
    return;
  size_t offset = netlink->nest[--netlink->depth];
  struct rtattr *attr = (struct rtattr *)(void *)(netlink->bytes + offset);
  attr->rta_len = (uint16_t)(netlink->length - offset);
}

/* One datagram of answers; their number, or -1. `first` is that of the first message that was refused. */
static int read_answers(struct netlink *netlink, unsigned *first, int *number)
{
  _Alignas(8) unsigned char answers[4096];
  ssize_t length = RETRY_INTR(recv(netlink->socket, answers, sizeof answers, 0));
  if (length < 0)
    return -1;
  int seen = 0;
  size_t left = (size_t)length;
  for (const struct nlmsghdr *at = (const void *)answers; NLMSG_OK(at, left); at = NLMSG_NEXT(at, left)) {
    if (at->nlmsg_type != NLMSG_ERROR || at->nlmsg_len < NLMSG_LENGTH(sizeof(struct nlmsgerr)))
      continue;
    const struct nlmsgerr *answer = NLMSG_DATA(at);
    seen++;
    if (answer->error != 0 && *number == 0) {
      *number = -answer->error;
      *first = at->nlmsg_seq;
    }
  }
  return seen;
}

int netlink_commit(struct netlink *netlink, const char *stage, struct err *err)
{
  if (netlink->overflow)
    return err_set(err, EMSGSIZE, stage, "the messages do not fit");
  if (netlink->count == 0)
    return 0;
  struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
  if (RETRY_INTR(sendto(netlink->socket, netlink->bytes, netlink->length, 0, (const struct sockaddr *)&kernel,
                        sizeof kernel)) < 0)
    return err_sys(err, stage, "send to rtnetlink");
  unsigned first = 0, waiting = netlink->count;
  int number = 0;
  while (waiting > 0) {
    int seen = read_answers(netlink, &first, &number);
    if (seen < 0)
      return err_sys(err, stage, "read from rtnetlink");
    waiting -= (unsigned)seen < waiting ? (unsigned)seen : waiting;
  }
  const char *name = first > 0 && first <= netlink->count ? netlink->names[first - 1] : "?";
  netlink->count = 0;
  netlink->length = 0;
  return number == 0 ? 0 : err_set(err, number, stage, "%s", name);
}
