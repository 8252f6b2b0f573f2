#include "capture/foreign/stream_order.h"

#include <algorithm>

namespace smtpscope {
namespace {

constexpr size_t kOverhead = 128;  // bytes of memory that a piece costs besides its own

/// Takes the first `n` bytes off a piece.
void cut_front(uint64_t n, std::string_view& bytes, uint64_t& missing) {
  const auto known = static_cast<size_t>(std::min<uint64_t>(n, bytes.size()));
  bytes.remove_prefix(known);
  missing -= std::min(missing, n - known);
}

}  // namespace

void StreamOrder::begin(uint32_t sequence) {
  begun_ = true;
  base_ = sequence;
}

int64_t StreamOrder::offset_of(uint32_t sequence) const {
  const auto ahead = static_cast<int32_t>(sequence - (base_ + static_cast<uint32_t>(next_)));
  return static_cast<int64_t>(next_) + ahead;
}

void StreamOrder::insert(int64_t offset, std::string_view bytes, uint64_t missing, const OnStream& out) {
  const int64_t ahead = offset - static_cast<int64_t>(next_);
  if (ahead > kMaxAhead || ahead < -kMaxAhead) return;
  if (ahead < 0) cut_front(static_cast<uint64_t>(-ahead), bytes, missing);
  if (bytes.empty() && missing == 0) return;
  const uint64_t at = ahead < 0 ? next_ : static_cast<uint64_t>(offset);
  if (!held_ && at == next_) return hand_out(bytes, missing, out);
  keep(at, bytes, missing);
  drain(out);
}

void StreamOrder::hand_out(std::string_view bytes, uint64_t missing, const OnStream& out) {
  next_ += bytes.size();
  if (!bytes.empty()) out(bytes, 0);
  next_ += missing;
  if (missing > 0) out({}, missing);
}

void StreamOrder::keep(uint64_t offset, std::string_view bytes, uint64_t missing) {
  if (!held_) held_ = std::make_unique<std::map<uint64_t, Held>>();
  const uint64_t end = offset + bytes.size() + missing;
  for (uint64_t at = offset; at < end;) {
    const auto behind = held_->upper_bound(at);
    if (behind != held_->begin()) {
      const auto& [held_at, held] = *std::prev(behind);
      if (held_at + held.length() > at) {
        const uint64_t covered = held_at + held.length() - at;
        cut_front(covered, bytes, missing);
        at += covered;
        continue;
      }
    }
    const uint64_t room = (behind == held_->end() ? end : std::min(end, behind->first)) - at;
    const std::string_view part = bytes.substr(0, static_cast<size_t>(std::min<uint64_t>(room, bytes.size())));
    held_bytes_ += part.size() + kOverhead;
    held_->emplace(at, Held{std::string(part), room - part.size()});
    cut_front(room, bytes, missing);
    at += room;
  }
}

void StreamOrder::drain(const OnStream& out) {
  while (held_ && !held_->empty() && held_->begin()->first <= next_) {
    const auto node = held_->extract(held_->begin());
    const Held& held = node.mapped();
    held_bytes_ -= held.bytes.size() + kOverhead;
    std::string_view bytes = held.bytes;
    uint64_t missing = held.missing;
    cut_front(next_ - node.key(), bytes, missing);
    hand_out(bytes, missing, out);
  }
  if (held_ && held_->empty()) held_.reset();
}

void StreamOrder::give_up_to(uint64_t offset, const OnStream& out) {
  if (offset > next_) hand_out({}, offset - next_, out);
  drain(out);
}

}  // namespace smtpscope
