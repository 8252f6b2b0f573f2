// Do the packet filters of others let diverted sessions pass? These end on this host: the sender's packets come in with
// our mark, as do the gateway's replies, and both go out again. Filters can be cleverer than what is understood here,
// so there are three answers. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace smtpscope {

/// The filters as `nft -j list ruleset`, iptables-save and ip6tables-save print them.
struct FilterListing {
  std::string ruleset, iptables;
};

/// A chain at input or output in which diverted sessions end, or may end.
struct FilterObstacle {
  std::string chain;                        ///< "inet filter input", "iptables INPUT"
  bool certain = true;                      ///< false: there are rules that might let them pass, and are not understood
  std::vector<std::string> insert, remove;  ///< for a shell: rules that let them pass, and take these away again
};

/// `mark`: one bit; `port`: that senders dial; `families`: IPv4, IPv6, those that are diverted.
std::vector<FilterObstacle> filter_obstacles(const FilterListing& listing, uint32_t mark, uint16_t port,
                                             const std::array<bool, 2>& families);

/// What is wrong and what to do, in a sentence.
std::string obstacle_text(const FilterObstacle& obstacle);

/// Does it do nothing else than accept packets with one bit of the mark? Such a rule is made for us, as advised: the
/// bit is not in use by others. Of nft the "expr" of a rule, of iptables a line of what it saves.
bool only_accepts_a_mark(const std::string& nft_expression);
bool only_accepts_a_mark_of_iptables(const std::string& line);

}  // namespace smtpscope
