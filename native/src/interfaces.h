// Small wrappers over the interface ioctls.
#pragma once

#include <cstdint>
#include <string>

namespace drawbridge {

struct InterfaceInfo {
  int ifindex = 0;
  int mtu = 0;
  uint8_t mac[6] = {};
};

// Fills `info` for the named interface of this network namespace. Returns 0 or an errno.
int QueryInterface(const std::string& name, InterfaceInfo* info);

std::string FormatMac(const uint8_t mac[6]);
bool ParseMac(const std::string& text, uint8_t mac[6]);

}  // namespace drawbridge
