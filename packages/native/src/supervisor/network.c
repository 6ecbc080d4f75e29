/*
 * One send on the host, one inside. The inner end is made directly in the container's network namespace, with a name, an
 * index and an address that are known before: nothing is looked up or moved. Nobody deletes a pair: that would wait for
 * 30 ms; it goes with the namespace.
 *
 * Bridged: the outer end is a port of a bridge. Routed: a bridge holds 1,023 ports, so the outer end stands alone, with
 * a route and a fixed neighbour for the one address behind it; the container sends everything to a gateway that exists
 * only as a fixed neighbour of its own. No broadcast, no ARP, and nobody else's address can be taken.
 *
 * What a container sends is shaped inside, what it receives on the outer end: both are egress there (tc-tbf(8)).
 */
#include "network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "fd.h"
#include "fs.h"
#include "netlink.h"

#define STAGE_HOST "net.plug"
#define STAGE_INSIDE "net.setup"
#define LOOPBACK_INDEX 1
#define INNER_INDEX 2
#define INNER_NAME "eth0"
/* linux/ip.h: index of `forwarding` in IFLA_INET_CONF. */
#define DEVCONF_FORWARDING 1

/* Of every outer end that is routed; seen by its container alone. */
static const unsigned char outer_mac[6] = { 0x0a, 0xbe, 0xff, 0xff, 0xff, 0xff };
static const uint32_t link_local_gateway = 0xa9fe0101; /* 169.254.1.1 */

/* Locally administered, and the same whenever the address is: a restart elsewhere keeps neighbours' caches right. */
static void mac_of(uint32_t address, unsigned char mac[6])
{
  mac[0] = 0x0a;
  mac[1] = 0xbe;
  for (unsigned i = 0; i < 4; i++)
    mac[2 + i] = (unsigned char)(address >> (24 - 8 * i));
}

static void put_address(struct netlink *netlink, uint16_t type, uint32_t address)
{
  netlink_put_u32(netlink, type, htonl(address));
}

static void put_tbf(struct netlink *netlink, int index, uint64_t rate, const char *name)
{
  if (rate == 0)
    return;
  struct tcmsg *message =
      netlink_message(netlink, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, sizeof *message, name);
  message->tcm_ifindex = index;
  message->tcm_parent = TC_H_ROOT;
  netlink_put_text(netlink, TCA_KIND, "tbf");
  /* 2 ms at full rate, and room for a few packets at any; 50 ms of queue. */
  uint64_t burst = rate / 500;
  burst = burst < 32768 ? 32768 : burst > 4194304 ? 4194304 : burst;
  uint64_t limit = burst + rate / 20;
  struct tc_tbf_qopt options = {
    .rate = { .linklayer = TC_LINKLAYER_ETHERNET, .rate = rate > UINT32_MAX ? UINT32_MAX : (uint32_t)rate },
    .limit = limit > INT32_MAX ? INT32_MAX : (uint32_t)limit,
  };
  netlink_begin(netlink, TCA_OPTIONS, 0);
  netlink_put(netlink, TCA_TBF_PARMS, &options, sizeof options);
  netlink_put_u32(netlink, TCA_TBF_BURST, (uint32_t)burst);
  if (rate > UINT32_MAX)
    netlink_put(netlink, TCA_TBF_RATE64, &rate, sizeof rate);
  netlink_end(netlink);
}

static struct ifinfomsg *link_message(struct netlink *netlink, uint16_t flags, int index, const char *name)
{
  struct ifinfomsg *message = netlink_message(netlink, RTM_NEWLINK, flags, sizeof *message, name);
  message->ifi_index = index;
  return message;
}

static void set_up(struct ifinfomsg *message)
{
  message->ifi_flags = IFF_UP;
  message->ifi_change = IFF_UP;
}

static void put_pair(struct netlink *netlink, const struct berth_network *network, const char *link, int index,
                     int master, pid_t pid)
{
  unsigned char mac[6];
  mac_of(network->address, mac);
  set_up(link_message(netlink, NLM_F_CREATE | NLM_F_EXCL, index, link));
  netlink_put_text(netlink, IFLA_IFNAME, link);
  netlink_put_u32(netlink, IFLA_MTU, network->mtu);
  if (master > 0)
    netlink_put_u32(netlink, IFLA_MASTER, (uint32_t)master);
  else
    netlink_put(netlink, IFLA_ADDRESS, outer_mac, sizeof outer_mac);
  netlink_begin(netlink, IFLA_LINKINFO, 0);
  netlink_put_text(netlink, IFLA_INFO_KIND, "veth");
  netlink_begin(netlink, IFLA_INFO_DATA, 0);
  struct ifinfomsg *peer = netlink_begin(netlink, VETH_INFO_PEER, sizeof *peer);
  peer->ifi_index = INNER_INDEX;
  netlink_put_text(netlink, IFLA_IFNAME, INNER_NAME);
  netlink_put_u32(netlink, IFLA_MTU, network->mtu);
  netlink_put(netlink, IFLA_ADDRESS, mac, sizeof mac);
  netlink_put_u32(netlink, IFLA_NET_NS_PID, (uint32_t)pid);
  netlink_end(netlink);
  netlink_end(netlink);
  netlink_end(netlink);
}

static void put_port_options(struct netlink *netlink, const struct berth_network *network, int index)
{
  if ((network->flags & (BERTH_NETWORK_HAIRPIN | BERTH_NETWORK_ISOLATED)) == 0)
    return;
  (void)link_message(netlink, 0, index, "options of the bridge port");
  netlink_begin(netlink, IFLA_LINKINFO, 0);
  netlink_put_text(netlink, IFLA_INFO_SLAVE_KIND, "bridge");
  netlink_begin(netlink, IFLA_INFO_SLAVE_DATA, 0);
  netlink_put_u8(netlink, IFLA_BRPORT_MODE, (network->flags & BERTH_NETWORK_HAIRPIN) != 0);
  netlink_put_u8(netlink, IFLA_BRPORT_ISOLATED, (network->flags & BERTH_NETWORK_ISOLATED) != 0);
  netlink_end(netlink);
  netlink_end(netlink);
}

static void put_neighbour(struct netlink *netlink, int index, uint32_t address, const unsigned char mac[6])
{
  struct ndmsg *message =
      netlink_message(netlink, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, sizeof *message, "neighbour");
  message->ndm_family = AF_INET;
  message->ndm_ifindex = index;
  message->ndm_state = NUD_PERMANENT;
  put_address(netlink, NDA_DST, address);
  netlink_put(netlink, NDA_LLADDR, mac, 6);
}

/* `via` 0: directly on the link. */
static void put_route(struct netlink *netlink, int index, uint32_t to, unsigned char prefix, uint32_t via,
                      const char *name)
{
  struct rtmsg *message = netlink_message(netlink, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof *message, name);
  message->rtm_family = AF_INET;
  message->rtm_dst_len = prefix;
  message->rtm_table = RT_TABLE_MAIN;
  message->rtm_protocol = RTPROT_STATIC;
  message->rtm_scope = via == 0 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  message->rtm_type = RTN_UNICAST;
  if (prefix > 0)
    put_address(netlink, RTA_DST, to);
  if (via != 0)
    put_address(netlink, RTA_GATEWAY, via);
  netlink_put_u32(netlink, RTA_OIF, (uint32_t)index);
}

/* What arrives on this link may go on to others, whatever the host does elsewhere. */
static void put_forwarding(struct netlink *netlink, int index)
{
  (void)link_message(netlink, 0, index, "forwarding");
  netlink_begin(netlink, IFLA_AF_SPEC, 0);
  netlink_begin(netlink, AF_INET, 0);
  netlink_begin(netlink, IFLA_INET_CONF, 0);
  netlink_put_u32(netlink, DEVCONF_FORWARDING, 1);
  netlink_end(netlink);
  netlink_end(netlink);
  netlink_end(netlink);
}

static int index_of(const struct netlink *netlink, const char *name, struct err *err)
{
  struct ifreq request = { .ifr_ifindex = 0 };
  (void)snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
  if (ioctl(netlink->socket, SIOCGIFINDEX, &request) < 0)
    return err_sys(err, STAGE_HOST, "bridge %s", name);
  return request.ifr_ifindex;
}

static int plug(struct netlink *netlink, const struct spec *spec, pid_t pid, int index, struct err *err)
{
  const struct berth_network *network = spec_section(spec, BERTH_SECTION_NETWORK);
  const bool bridged = network->kind == BERTH_NETWORK_BRIDGE;
  int master = bridged ? index_of(netlink, spec_text(spec, network->bridge), err) : 0;
  if (master < 0)
    return -1;
  put_pair(netlink, network, spec_text(spec, network->link), index, master, pid);
  if (bridged)
    put_port_options(netlink, network, index);
  else {
    unsigned char mac[6];
    mac_of(network->address, mac);
    put_forwarding(netlink, index);
    put_neighbour(netlink, index, network->address, mac);
    put_route(netlink, index, network->address, 32, 0, "route to the container");
  }
  put_tbf(netlink, index, network->ingress_bytes_per_second, "shaping of what it receives");
  return netlink_commit(netlink, STAGE_HOST, err);
}

int network_plug(const struct spec *spec, pid_t pid, struct err *err)
{
  struct netlink netlink;
  if (spec_section(spec, BERTH_SECTION_NETWORK) == NULL)
    return 0;
  if (netlink_open(&netlink, err) < 0)
    return -1;
  /* An index of our own choice saves asking for it; out of the way of those that the kernel counts up. */
  int result = -1;
  for (unsigned attempt = 0; attempt < 8; attempt++) {
    uint32_t random;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
      random = (uint32_t)getpid() * 2654435761u + attempt;
    result = plug(&netlink, spec, pid, (int)(0x40000000u | (random & 0x3fffffffu)), err);
    if (result == 0 || err->number != EBUSY)
      break;
  }
  netlink_close(&netlink);
  return result;
}

static void put_inner(struct netlink *netlink, const struct berth_network *network)
{
  const bool bridged = network->kind == BERTH_NETWORK_BRIDGE;
  struct ifaddrmsg *address =
      netlink_message(netlink, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof *address, "address of " INNER_NAME);
  address->ifa_family = AF_INET;
  address->ifa_prefixlen = bridged ? (unsigned char)network->prefix : 32;
  address->ifa_index = INNER_INDEX;
  put_address(netlink, IFA_LOCAL, network->address);
  put_address(netlink, IFA_ADDRESS, network->address);
  if (bridged && network->prefix < 31)
    put_address(netlink, IFA_BROADCAST, network->address | (UINT32_MAX >> network->prefix));
  set_up(link_message(netlink, 0, INNER_INDEX, INNER_NAME " up"));
  if (!bridged) {
    put_neighbour(netlink, INNER_INDEX, link_local_gateway, outer_mac);
    put_route(netlink, INNER_INDEX, link_local_gateway, 32, 0, "route to the gateway");
    put_route(netlink, INNER_INDEX, 0, 0, link_local_gateway, "default route");
  } else if (network->gateway != 0)
    put_route(netlink, INNER_INDEX, 0, 0, network->gateway, "default route");
  put_tbf(netlink, INNER_INDEX, network->egress_bytes_per_second, "shaping of what it sends");
}

/* Without a raw socket: ping uses these when its group may, and by default nobody's may (icmp(7)). */
int network_allow_ping(struct err *err)
{
  static const char path[] = "sys/net/ipv4/ping_group_range";
  /* One of its own: what stands at /proc may be masked already. */
  cleanup_close int proc = fs_new("proc", NULL, FS_KERNEL, STAGE_INSIDE, err);
  if (proc < 0)
    return -1;
  if (fd_write_at(proc, path, "0 65535") < 0 && errno != ENOENT)
    return err_sys(err, STAGE_INSIDE, "%s", path);
  return 0;
}

int network_loopback(struct err *err)
{
  struct netlink netlink;
  if (netlink_open(&netlink, err) < 0)
    return -1;
  set_up(link_message(&netlink, 0, LOOPBACK_INDEX, "lo up"));
  int result = netlink_commit(&netlink, STAGE_INSIDE, err);
  netlink_close(&netlink);
  return result;
}

int network_setup(const struct spec *spec, struct err *err)
{
  const struct berth_network *network = spec_section(spec, BERTH_SECTION_NETWORK);
  struct netlink netlink;
  if (netlink_open(&netlink, err) < 0)
    return -1;
  set_up(link_message(&netlink, 0, LOOPBACK_INDEX, "lo up"));
  put_inner(&netlink, network);
  int result = netlink_commit(&netlink, STAGE_INSIDE, err);
  netlink_close(&netlink);
  return result;
}
