// Sets of IP addresses of both families, as disjoint ranges. IPv4 stands for itself: an IPv6 range that runs through
// the IPv4-mapped block holds no IPv4 address.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "config/ip.h"

namespace smtpscope {

/// From address to address of one family, both included.
struct AddressRange {
  IpAddress first;
  IpAddress last;
  bool operator==(const AddressRange&) const = default;
};

class AddressSet {
 public:
  AddressSet() = default;
  /// In any order; they may overlap.
  explicit AddressSet(std::vector<AddressRange> ranges);
  static AddressSet everything();

  void add(const AddressSet& other);
  void remove(const AddressSet& other);

  /// The fewest ranges that hold it, ascending, IPv4 before IPv6.
  std::vector<AddressRange> ranges() const;
  /// How many those are.
  size_t size() const { return families_[0].size() + families_[1].size(); }
  bool empty() const { return size() == 0; }
  bool operator==(const AddressSet&) const = default;

 private:
  std::array<std::vector<AddressRange>, 2> families_;  ///< IPv4, IPv6
};

}  // namespace smtpscope
