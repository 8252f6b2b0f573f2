#include "config/address_set.h"

#include <algorithm>
#include <utility>

namespace smtpscope {
namespace {

using Ranges = std::vector<AddressRange>;

/// Sorts, and joins what overlaps or touches. All are of one family.
void tidy(Ranges& ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  size_t kept = 0;
  for (size_t i = 1; i < ranges.size(); ++i) {
    AddressRange& before = ranges[kept];
    if (ranges[i].first <= before.last || ranges[i].first == before.last.next())
      before.last = std::max(before.last, ranges[i].last);
    else
      ranges[++kept] = ranges[i];
  }
  if (!ranges.empty()) ranges.resize(kept + 1);
}

Ranges difference(const Ranges& from, const Ranges& taken) {
  Ranges out;
  auto next = taken.begin();
  for (AddressRange left : from) {
    while (next != taken.end() && next->last < left.first) ++next;
    bool some = true;
    for (auto cut = next; some && cut != taken.end() && cut->first <= left.last; ++cut) {
      if (left.first < cut->first) out.push_back({left.first, cut->first.previous()});
      some = cut->last < left.last;
      if (some) left.first = cut->last.next();
    }
    if (some) out.push_back(left);
  }
  return out;
}

}  // namespace

AddressSet::AddressSet(std::vector<AddressRange> ranges) {
  for (const AddressRange& range : ranges) families_[range.first.is_v4() ? 0 : 1].push_back(range);
  for (Ranges& family : families_) tidy(family);
}

AddressSet AddressSet::everything() {
  return AddressSet(
      {{IpAddress::v4(0), IpAddress::v4(~uint32_t{0})}, {IpAddress(), IpAddress::v6(~uint64_t{0}, ~uint64_t{0})}});
}

void AddressSet::add(const AddressSet& other) {
  for (size_t i = 0; i < families_.size(); ++i) {
    families_[i].insert(families_[i].end(), other.families_[i].begin(), other.families_[i].end());
    tidy(families_[i]);
  }
}

void AddressSet::remove(const AddressSet& other) {
  for (size_t i = 0; i < families_.size(); ++i) families_[i] = difference(families_[i], other.families_[i]);
}

std::vector<AddressRange> AddressSet::ranges() const {
  Ranges all = families_[0];
  all.insert(all.end(), families_[1].begin(), families_[1].end());
  return all;
}

}  // namespace smtpscope
