#include "segment.h"

#include <cerrno>
#include <cstring>

#include "checksum.h"

namespace drawbridge {

namespace {

constexpr uint32_t kMacs = 12;
constexpr uint32_t kTag = 4;
constexpr uint32_t kEthernet = 14;
constexpr uint16_t kType8021Q = 0x8100;
constexpr uint16_t kType8021Ad = 0x88a8;
constexpr uint16_t kTypeIpv4 = 0x0800;
constexpr uint16_t kTypeIpv6 = 0x86dd;
constexpr uint8_t kProtoTcp = 6;
constexpr uint8_t kProtoUdp = 17;
constexpr uint8_t kTcpFin = 0x01, kTcpPsh = 0x08, kTcpCwr = 0x80;

// gso_size comes from a guest: without a bound one 64 KiB frame would become 65536 frames of one byte. Linux stays
// below this (TCP MSS >= 48, net.ipv4.tcp_min_snd_mss; 128 segments of a UDP super-frame).
constexpr uint32_t kMaxSegments = 2048;

uint16_t Get16(const uint8_t* p) { return static_cast<uint16_t>(p[0] << 8 | p[1]); }
uint32_t Get32(const uint8_t* p) { return uint32_t{p[0]} << 24 | uint32_t{p[1]} << 16 | uint32_t{p[2]} << 8 | p[3]; }
void Put16(uint8_t* p, uint32_t v) {
  p[0] = static_cast<uint8_t>(v >> 8);
  p[1] = static_cast<uint8_t>(v);
}
void Put32(uint8_t* p, uint32_t v) {
  Put16(p, v >> 16);
  Put16(p + 2, v);
}
bool IsTag(uint16_t type) { return type == kType8021Q || type == kType8021Ad; }

// Where the headers of a GSO frame lie, found in the frame itself: the lengths in a vnet header are only hints.
struct Headers {
  uint8_t bytes[kMaxSegmentHeader];
  uint32_t have;     // bytes copied from the frame
  uint32_t l3, l4;   // offsets
  uint32_t length;   // of all headers: payload starts here
  bool ipv6, udp;
};

struct IpWalk {
  uint32_t l4;  // offset of the transport header
  uint8_t proto;
  bool ipv6, fragment;
};

// Steps over the IP header at `l3` (and IPv6 extension headers) within b[0, have).
bool WalkIp(const uint8_t* b, uint32_t have, uint32_t l3, IpWalk* w) {
  if (have < l3 + 20) return false;
  const uint16_t type = Get16(b + l3 - 2);
  w->ipv6 = type == kTypeIpv6;
  w->fragment = false;
  if (type == kTypeIpv4) {
    const uint32_t ihl = (b[l3] & 15) * 4u;
    w->l4 = l3 + ihl;
    w->proto = b[l3 + 9];
    w->fragment = (Get16(b + l3 + 6) & 0x3fff) != 0;
    return b[l3] >> 4 == 4 && ihl >= 20;
  }
  if (type != kTypeIpv6 || have < l3 + 40 || b[l3] >> 4 != 6) return false;
  w->l4 = l3 + 40;
  w->proto = b[l3 + 6];
  while (w->proto == 0 || w->proto == 43 || w->proto == 60) {  // hop-by-hop, routing, destination options (RFC 8200)
    if (have < w->l4 + 8) return false;
    w->proto = b[w->l4];
    w->l4 += (b[w->l4 + 1] + 1u) * 8;
  }
  return true;
}

int ParseHeaders(const FrameParts& f, Headers* h) {
  h->have = f.size() < kMaxSegmentHeader ? f.size() : kMaxSegmentHeader;
  f.CopyOut(h->have, h->bytes);
  const uint8_t* b = h->bytes;
  const uint8_t kind = f.vnet.gso_type & ~kGsoEcn;
  h->l3 = f.LinkHeaderLength();
  h->udp = kind == kGsoUdpL4;
  IpWalk ip;
  // A fragment has no business being a super-frame.
  if (!WalkIp(b, h->have, h->l3, &ip) || ip.fragment || kind == (ip.ipv6 ? kGsoTcpV4 : kGsoTcpV6)) return EINVAL;
  h->ipv6 = ip.ipv6;
  h->l4 = ip.l4;
  if (ip.proto != (h->udp ? kProtoUdp : kProtoTcp) || h->have < h->l4 + (h->udp ? 8u : 20u)) return EINVAL;
  const uint32_t l4_len = h->udp ? 8 : (b[h->l4 + 12] >> 4) * 4u;
  h->length = h->l4 + l4_len;
  if ((!h->udp && l4_len < 20) || h->length > h->have) return EINVAL;
  const bool partial = (f.vnet.flags & kVnetNeedsCsum) != 0;
  const uint32_t check_offset = h->udp ? 6 : 16;
  return partial && (f.vnet.csum_start != h->l4 || f.vnet.csum_offset != check_offset) ? EINVAL : 0;
}

bool IsSegmentable(const VnetHeader& v) {
  const uint8_t kind = v.gso_type & ~kGsoEcn;
  return kind == kGsoTcpV4 || kind == kGsoTcpV6 || kind == kGsoUdpL4;
}

// Headers parsed and every segment known to fit `mtu`. EMSGSIZE otherwise.
int PlanSegments(const FrameParts& f, uint32_t mtu, Headers* h) {
  if (int err = ParseHeaders(f, h)) return err;
  const uint32_t payload = f.size() - h->length;
  if (f.vnet.gso_size == 0 || payload / f.vnet.gso_size >= kMaxSegments) return EINVAL;
  const uint32_t largest = payload < f.vnet.gso_size ? payload : f.vnet.gso_size;
  return h->length - h->l3 + largest > mtu ? EMSGSIZE : 0;
}

int EmitSegments(const FrameParts& f, uint32_t mtu, WireSink* sink) {
  Headers h;
  if (int err = PlanSegments(f, mtu, &h)) return err;
  const uint32_t payload_len = f.size() - h.length;
  const uint8_t* payload = f.body + (h.length - f.head_len);
  const uint32_t l3 = h.l3, l4 = h.l4, l4_header = h.length - l4, check = l4 + (h.udp ? 6 : 16);
  const uint16_t ip_id = Get16(h.bytes + l3 + 4);
  const uint32_t seq = h.udp ? 0 : Get32(h.bytes + l4 + 4);
  const uint8_t flags = h.udp ? 0 : h.bytes[l4 + 13];

  // The pseudo-header (addresses, protocol, length: RFC 9293 section 3.1, RFC 8200 section 8.1) without its length is
  // the same for every segment. A partial checksum field holds the sum for the whole super-frame: taking the length
  // out of it is right even where the destination is not the IPv6 header's (routing header).
  uint32_t pseudo;
  if ((f.vnet.flags & kVnetNeedsCsum) != 0) {
    const uint16_t whole = FoldSum(l4_header + payload_len);
    pseudo = Get16(h.bytes + check) + static_cast<uint16_t>(~whole);
  } else {
    pseudo = h.udp ? kProtoUdp : kProtoTcp;
    pseudo = h.ipv6 ? ChecksumAdd(h.bytes + l3 + 8, 32, pseudo) : ChecksumAdd(h.bytes + l3 + 12, 8, pseudo);
  }
  Put16(h.bytes + check, 0);

  uint32_t done = 0, index = 0;
  do {
    const uint32_t left = payload_len - done;
    const uint32_t part = left < f.vnet.gso_size ? left : f.vnet.gso_size;
    const bool last = part == left;
    TxSlot* slot = sink->Slot();
    uint8_t* b = slot->store;
    memcpy(b, h.bytes, h.length);
    const uint32_t l4_len = l4_header + part;
    if (h.ipv6) {
      Put16(b + l3 + 4, l4 - l3 - 40 + l4_len);
    } else {
      Put16(b + l3 + 2, l4 - l3 + l4_len);
      Put16(b + l3 + 4, ip_id + index);
      Put16(b + l3 + 10, 0);
      Put16(b + l3 + 10, static_cast<uint16_t>(~ChecksumAdd(b + l3, l4 - l3, 0)));
    }
    if (h.udp) {
      Put16(b + l4 + 4, l4_len);
    } else {
      Put32(b + l4 + 4, seq + done);
      // FIN and PSH belong to the last segment; CWR, a one-time signal (RFC 3168 section 6.1.2), to the first.
      uint8_t now = flags;
      if (!last) now &= static_cast<uint8_t>(~(kTcpFin | kTcpPsh));
      if (index > 0) now &= static_cast<uint8_t>(~kTcpCwr);
      b[l4 + 13] = now;
    }
    uint32_t sum = ChecksumAdd(b + l4, l4_header, pseudo + l4_len);
    // Headers are an even number of bytes, so the payload starts on a 16-bit boundary of the sum.
    sum = ChecksumAdd(payload + done, part, sum);
    Put16(b + check, ChecksumField(static_cast<uint16_t>(sum)));
    slot->Reset();
    slot->Add(b, h.length);
    slot->Add(payload + done, part);
    if (int err = sink->Commit()) return err;
    done += part;
    index++;
  } while (done < payload_len);
  return 0;
}

// A frame that stays one frame; the field holds the pseudo-header sum and wants the rest (virtio 1.2 section 5.1.6.2).
int EmitCompleted(const FrameParts& f, WireSink* sink) {
  const uint32_t start = f.vnet.csum_start, field = start + f.vnet.csum_offset;
  if (start < kEthernet || start < f.head_len || field + 2 > f.size()) return EINVAL;
  const uint8_t* from = f.body + (start - f.head_len);
  TxSlot* slot = sink->Slot();
  memcpy(slot->store, f.head, f.head_len);
  Put16(slot->store + 16, ChecksumField(ChecksumAdd(from, f.size() - start, 0)));
  slot->Reset();
  slot->Add(slot->store, f.head_len);
  slot->Add(f.body, field - f.head_len);
  slot->Add(slot->store + 16, 2);
  slot->Add(f.body + (field + 2 - f.head_len), f.size() - field - 2);
  return sink->Commit();
}

}  // namespace

void FrameParts::CopyOut(uint32_t n, uint8_t* to) const {
  const uint32_t from_head = n < head_len ? n : head_len;
  memcpy(to, head, from_head);
  if (n > from_head) memcpy(to + from_head, body, n - from_head);
}

uint32_t FrameParts::LinkHeaderLength() const {
  uint8_t b[kEthernet + 2 * kTag];
  const uint32_t n = size() < sizeof b ? size() : static_cast<uint32_t>(sizeof b);
  CopyOut(n, b);
  uint32_t length = kEthernet;
  while (length < kEthernet + 2 * kTag && n >= length + kTag && IsTag(Get16(b + length - 2))) length += kTag;
  return length;
}

bool LocateChecksum(const uint8_t* data, uint32_t len, VnetHeader* vnet) {
  FrameParts f;
  f.body = data;
  f.body_len = len;
  IpWalk ip;
  if (!WalkIp(data, len, f.LinkHeaderLength(), &ip) || (ip.proto != kProtoTcp && ip.proto != kProtoUdp)) return false;
  vnet->flags = kVnetNeedsCsum;
  vnet->csum_start = static_cast<uint16_t>(ip.l4);
  vnet->csum_offset = ip.proto == kProtoUdp ? 6 : 16;
  return true;
}

int ApplyTag(const uint8_t* data, uint32_t len, const VnetHeader& vnet, int32_t tag, FrameParts* out) {
  out->vnet = vnet;
  if (len < kEthernet) return EINVAL;
  uint32_t skip = 0;
  int shift = 0;
  if (tag == kTagKeep) {
    out->head_len = 0;
  } else if (tag == kTagStrip) {
    // A frame without a tag already is what was asked for.
    const bool tagged = len >= kEthernet + kTag && IsTag(Get16(data + kMacs));
    out->head_len = tagged ? kMacs : 0;
    skip = tagged ? kMacs + kTag : 0;
    shift = tagged ? -static_cast<int>(kTag) : 0;
  } else {
    const int32_t vid = tag & 0xfff;
    if (tag < 0 || tag > 0xffff || vid == 0 || vid == 0xfff) return EINVAL;
    out->head_len = kMacs + kTag;
    skip = kMacs;
    shift = kTag;
    Put16(out->head + kMacs, kType8021Q);
    Put16(out->head + kMacs + 2, static_cast<uint32_t>(tag));
  }
  if (out->head_len != 0) memcpy(out->head, data, kMacs);
  out->body = data + skip;
  out->body_len = len - skip;
  if (shift != 0) {
    // Offsets of the vnet header count from the frame's first byte, so they move with the tag.
    if ((vnet.flags & kVnetNeedsCsum) != 0) {
      if (vnet.csum_start < kEthernet + kTag && shift < 0) return EINVAL;
      out->vnet.csum_start = static_cast<uint16_t>(vnet.csum_start + shift);
    }
    if (vnet.hdr_len >= kEthernet + kTag) out->vnet.hdr_len = static_cast<uint16_t>(vnet.hdr_len + shift);
  }
  return 0;
}

int CheckWhole(const FrameParts& f, uint32_t mtu) {
  if (f.size() <= kEthernet + mtu) return 0;  // nearly every frame
  if (IsSegmentable(f.vnet)) {
    Headers h;
    return PlanSegments(f, mtu, &h);
  }
  return f.size() > f.LinkHeaderLength() + mtu ? EMSGSIZE : 0;
}

int EmitWire(const FrameParts& f, uint32_t mtu, WireSink* sink) {
  if (IsSegmentable(f.vnet)) return EmitSegments(f, mtu, sink);
  if (f.size() > f.LinkHeaderLength() + mtu) return EMSGSIZE;
  // UFO (gso_type 3) and unknown types that fit the MTU are plain frames once their checksum is complete.
  if ((f.vnet.flags & kVnetNeedsCsum) != 0) return EmitCompleted(f, sink);
  TxSlot* slot = sink->Slot();
  memcpy(slot->store, f.head, f.head_len);
  slot->Reset();
  slot->Add(slot->store, f.head_len);
  slot->Add(f.body, f.body_len);
  return sink->Commit();
}

}  // namespace drawbridge
