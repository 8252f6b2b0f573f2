#include "config/sender_filter.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "config/sender_spec.h"

namespace smtpscope {
namespace {

constexpr IpAddress kLastV4 = IpAddress::v4(0xFFFFFFFF);
constexpr IpAddress kLastV6 = IpAddress::v6(~uint64_t{0}, ~uint64_t{0});

/// last - first in 128 bits, as (high, low): how much an entry covers.
std::pair<uint64_t, uint64_t> extent(const IpAddress& first, const IpAddress& last) {
  const uint64_t borrow = last.low() < first.low() ? 1 : 0;
  return {last.high() - first.high() - borrow, last.low() - first.low()};
}

}  // namespace

Result<SenderFilter> SenderFilter::build(const std::vector<std::string>& senders,
                                         const std::vector<std::string>& exclude, const ResolvedNames& names) {
  SenderFilter filter;
  filter.names_ = senders;
  std::vector<Entry> v4;
  std::vector<Entry> v6;
  const auto add = [&](const std::string& text, int32_t index, std::string_view list) -> std::optional<Error> {
    const auto spec = parse_sender_spec(text);
    if (!spec) return Error{fmt::format("{}: {}", list, spec.error())};
    if (spec->kind == SenderSpec::Kind::domain) {
      filter.domains_.push_back({spec->key(), index});
      filter.excludes_domains_ = filter.excludes_domains_ || index == kExcluded;
    } else if (spec->needs_dns()) {
      const auto known = names.find(spec->key());
      if (known == names.end()) filter.unresolved_.push_back(text);
      if (index == kExcluded && (known == names.end() || !known->second.whole)) filter.withheld_.push_back(text);
      if (known == names.end()) return std::nullopt;
      for (const AddressRange& range : known->second.ranges)
        (range.first.is_v4() ? v4 : v6).push_back({range.first, range.last, index});
    } else if (spec->kind == SenderSpec::Kind::any) {
      v4.push_back({IpAddress::v4(0), kLastV4, index});
      v6.push_back({IpAddress(), kLastV6, index});
    } else {
      (spec->first.is_v4() ? v4 : v6).push_back({spec->first, spec->last, index});
    }
    return std::nullopt;
  };
  for (size_t i = 0; i < senders.size(); ++i) {
    if (auto error = add(senders[i], static_cast<int32_t>(i), "senders")) return *error;
  }
  for (const std::string& text : exclude) {
    if (auto error = add(text, kExcluded, "exclude")) return *error;
  }
  if (filter.withheld_.empty()) {
    filter.v4_ = flatten(v4);
    filter.v6_ = flatten(v6);
  } else {
    filter.domains_.clear();
  }
  return filter;
}

SenderFilter::Stretches SenderFilter::flatten(const std::vector<Entry>& entries) {
  // Sweep over the addresses at which an entry begins or has just ended, keeping those that are in force, narrowest
  // first. An address of IPv6 space below or above the IPv4-mapped block is never asked for in the wrong family, so
  // that ::/0 may run through that block.
  struct Edge {
    IpAddress at;
    bool begins;
    const Entry* entry;
  };
  std::vector<Edge> edges;
  edges.reserve(2 * entries.size());
  for (const Entry& entry : entries) {
    edges.push_back({entry.first, true, &entry});
    // Nothing lies behind the last address of all; next() would wrap.
    if (entry.last != kLastV6) edges.push_back({entry.last.next(), false, &entry});
  }
  std::sort(edges.begin(), edges.end(), [](const Edge& a, const Edge& b) { return a.at < b.at; });

  using Rank = std::tuple<uint64_t, uint64_t, int32_t, const Entry*>;
  std::set<Rank> in_force;
  size_t exclusions = 0;
  Stretches out;
  for (size_t i = 0; i < edges.size();) {
    const IpAddress at = edges[i].at;
    for (; i < edges.size() && edges[i].at == at; ++i) {
      const Entry& entry = *edges[i].entry;
      if (entry.index == kExcluded) {
        exclusions = edges[i].begins ? exclusions + 1 : exclusions - 1;
        continue;
      }
      const auto [high, low] = extent(entry.first, entry.last);
      const Rank rank{high, low, entry.index, &entry};
      if (edges[i].begins) {
        in_force.insert(rank);
      } else {
        in_force.erase(rank);
      }
    }
    const int32_t winner = exclusions > 0 ? kExcluded : in_force.empty() ? kNone : std::get<2>(*in_force.begin());
    if (!out.entries.empty() && out.entries.back() == winner) continue;
    out.starts.push_back(at);
    out.entries.push_back(winner);
  }
  return out;
}

int32_t SenderFilter::index_of(const IpAddress& address) const {
  const Stretches& stretches = address.is_v4() ? v4_ : v6_;
  const auto after = std::upper_bound(stretches.starts.begin(), stretches.starts.end(), address);
  if (after == stretches.starts.begin()) return kNone;
  return stretches.entries[static_cast<size_t>(after - stretches.starts.begin()) - 1];
}

std::optional<std::string_view> SenderFilter::entry(int32_t index) const {
  if (index < 0) return std::nullopt;
  return names_[static_cast<size_t>(index)];
}

std::optional<std::string_view> SenderFilter::match(const IpAddress& address) const { return entry(index_of(address)); }

bool SenderFilter::needs_name(const IpAddress& address) const {
  if (domains_.empty()) return false;
  const int32_t index = index_of(address);
  return index != kExcluded && (excludes_domains_ || index == kNone);
}

std::optional<std::string_view> SenderFilter::match(const IpAddress& address, const std::vector<std::string>& names,
                                                    bool all) const {
  const int32_t index = index_of(address);
  if (index == kExcluded || (excludes_domains_ && !all)) return std::nullopt;
  const Domain* best = nullptr;
  for (const std::string& name : names) {
    for (const Domain& domain : domains_) {
      if (!name.ends_with(domain.suffix)) continue;
      if (domain.index == kExcluded) return std::nullopt;
      if (best == nullptr || domain.suffix.size() > best->suffix.size()) best = &domain;
    }
  }
  // An entry that names addresses is the narrower one.
  return entry(index != kNone ? index : best != nullptr ? best->index : kNone);
}

std::vector<SenderFilter::Range> SenderFilter::ranges(IpAddress::Family family) const {
  const bool v4 = family == IpAddress::Family::v4;
  const Stretches& stretches = v4 ? v4_ : v6_;
  std::vector<Range> out;
  for (size_t i = 0; i < stretches.starts.size(); ++i) {
    if (stretches.entries[i] < 0) continue;
    const IpAddress first = stretches.starts[i];
    IpAddress last = i + 1 < stretches.starts.size() ? stretches.starts[i + 1].previous() : v4 ? kLastV4 : kLastV6;
    if (!out.empty() && out.back().last.next() == first)
      out.back().last = last;
    else
      out.push_back({first, last});
  }
  return out;
}

}  // namespace smtpscope
