/* The network of a spec. Whether its bridge exists the kernel says, when the pair is made. */
#include <errno.h>
#include <sched.h>

#include "spec_check.h"

static int check_names(const struct spec *spec, const struct berth_network *network, struct err *err)
{
  const uint32_t most = network->kind == BERTH_NETWORK_BRIDGE ? BERTH_MAX_LINK : 0;
  if (check_text(spec, "network.link", network->link, 1, BERTH_MAX_LINK, err) < 0 ||
      check_text(spec, "network.bridge", network->bridge, most == 0 ? 0 : 1, most, err) < 0)
    return -1;
  if (!check_is_name(spec_text(spec, network->link), "_-.") || !check_is_name(spec_text(spec, network->bridge), "_-."))
    return err_set(err, EINVAL, STAGE_SPEC, "network: \"%.20s\" is not the name of a link",
                   spec_text(spec, network->bridge));
  return 0;
}

static bool joins_network(const struct spec *spec)
{
  const struct berth_namespaces *namespaces = spec_section(spec, BERTH_SECTION_NAMESPACES);
  for (uint32_t i = 0; namespaces != NULL && i < namespaces->joins.count; i++) {
    const struct berth_join *join = spec_item(spec, namespaces->joins, i, sizeof *join);
    if (join->kind == CLONE_NEWNET)
      return true;
  }
  return false;
}

int check_network(const struct spec *spec, struct err *err)
{
  const struct berth_ref ref = spec->header->sections[BERTH_SECTION_NETWORK];
  const struct berth_list one = { .offset = ref.offset, .count = 1 };
  if (ref.length == 0)
    return 0;
  if (ref.length != sizeof(struct berth_network))
    return err_set(err, EINVAL, STAGE_SPEC, "network: %u bytes, not %zu", ref.length, sizeof(struct berth_network));
  if (check_list(spec, "network", one, ref.length, 1, 1, err) < 0)
    return -1;
  const struct berth_network *network = spec_at(spec, ref.offset);
  const bool bridged = network->kind == BERTH_NETWORK_BRIDGE;
  const uint64_t most = UINT64_C(1) << 40;
  if (!bridged && network->kind != BERTH_NETWORK_ROUTED)
    return err_set(err, EINVAL, STAGE_SPEC, "network.kind: %u is not known", network->kind);
  if ((network->flags & ~(bridged ? BERTH_NETWORK_HAIRPIN | BERTH_NETWORK_ISOLATED : 0u)) != 0)
    return err_set(err, EINVAL, STAGE_SPEC, "network.flags: 0x%x is not known", network->flags);
  if (network->address == 0 || network->prefix < 1 || network->prefix > 32)
    return err_set(err, EINVAL, STAGE_SPEC, "network.address: 0x%08x/%u is none", network->address, network->prefix);
  if (network->mtu < 576 || network->mtu > 65535)
    return err_set(err, EINVAL, STAGE_SPEC, "network.mtu: %u is not in 576..65535", network->mtu);
  if (network->egress_bytes_per_second > most || network->ingress_bytes_per_second > most)
    return err_set(err, EINVAL, STAGE_SPEC, "network: more than 2^40 bytes per second");
  if (joins_network(spec))
    return err_set(err, EINVAL, STAGE_SPEC, "network: a joined network namespace has its own");
  return check_names(spec, network, err);
}
