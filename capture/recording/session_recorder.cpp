#include "capture/recording/session_recorder.h"

#include <algorithm>
#include <utility>

namespace smtpscope {
namespace {

constexpr size_t kMaxHeld = 4 * Conversation::kMaxHeld;

size_t side(From from) { return from == From::sender ? 0 : 1; }

/// Covers the part of [offset, offset + size) that lies in `range`.
uint64_t cover(char* bytes, size_t size, uint64_t offset, const ByteRange& range) {
  const uint64_t begin = std::max(offset, range.offset);
  const uint64_t end = std::min(offset + size, range.offset + range.length);
  if (begin >= end) return 0;
  std::fill_n(bytes + (begin - offset), end - begin, '*');
  return end - begin;
}

}  // namespace

SessionRecorder::SessionRecorder(SessionFacts facts, std::string& out)
    : analyzer_(std::move(facts)), flow_(analyzer_.facts()) {
  flow_.open(out, analyzer_.facts());
}

void SessionRecorder::connected(const GatewayConnect& connect, std::string& out) {
  analyzer_.connected(connect);
  if (held_) return hold(connect, out);
  flow_.connected(out, connect);
}

void SessionRecorder::chunk(From from, int64_t at_us, char* bytes, size_t size, std::string& out) {
  const uint64_t offset = offset_[side(from)];
  offset_[side(from)] += size;
  Conversation& conversation = analyzer_.conversation();
  analyzer_.chunk({from, at_us, offset, {bytes, size}});
  for (From each : {From::sender, From::gateway}) mask(bytes, each == from ? size : 0, each, offset);
  for (const ByteRange& range : conversation.take_omissions()) {
    analyzer_.counts().truncated_bytes += range.length;
    omissions_.push_back(range);
  }
  if (!held_ && conversation.stable(from) >= offset + size) {
    write_data(from, at_us, offset, {bytes, size}, out);
  } else {
    hold(HeldBytes{from, at_us, offset, std::string(bytes, size)}, out);
  }
}

void SessionRecorder::mask(char* bytes, size_t size, From from, uint64_t offset) {
  for (const ByteRange& secret : analyzer_.conversation().take_secrets(from)) {
    analyzer_.counts().masked_bytes += secret.length;
    if (size > 0) cover(bytes, size, offset, secret);
    if (!held_) continue;
    for (Held& held : *held_)
      if (auto* data = std::get_if<HeldBytes>(&held); data != nullptr && data->from == from)
        cover(data->bytes.data(), data->bytes.size(), data->offset, secret);
  }
}

void SessionRecorder::write_data(From from, int64_t at_us, uint64_t offset, std::string_view bytes, std::string& out) {
  while (!bytes.empty()) {
    size_t kept = bytes.size();
    if (from == From::sender && !omissions_.empty()) {
      ByteRange& next = omissions_.front();
      if (next.offset <= offset) {
        const uint64_t n = std::min<uint64_t>(bytes.size(), next.offset + next.length - offset);
        if (omission_.length == 0) omission_ = {from, at_us, offset, 0, "body"};
        omission_.length += n;
        omission_.at_us = at_us;
        if (offset + n == next.offset + next.length) omissions_.erase(omissions_.begin());
        offset += n;
        bytes.remove_prefix(n);
        continue;
      }
      kept = std::min<uint64_t>(kept, next.offset - offset);
    }
    write_omission(out);
    flow_.data(out, from, at_us, bytes.substr(0, kept));
    offset += kept;
    bytes.remove_prefix(kept);
  }
}

void SessionRecorder::write_omission(std::string& out) {
  if (omission_.length == 0) return;
  flow_.hole(out, omission_);
  omission_.length = 0;
}

void SessionRecorder::hold(Held held, std::string& out) {
  if (!held_) held_ = std::make_unique<std::deque<Held>>();
  if (const auto* data = std::get_if<HeldBytes>(&held)) held_bytes_ += data->bytes.size();
  held_->push_back(std::move(held));
  write_held(out);
  // One side never ends its line while the other goes on talking: what waits is covered whole and written.
  if (held_ && held_bytes_ > kMaxHeld) {
    for (Held& each : *held_)
      if (auto* data = std::get_if<HeldBytes>(&each)) mask_above(analyzer_.conversation().stable(data->from), *data);
    write_held(out, true);
  }
}

void SessionRecorder::mask_above(uint64_t offset, HeldBytes& data) {
  analyzer_.counts().masked_bytes +=
      cover(data.bytes.data(), data.bytes.size(), data.offset, {offset, UINT64_MAX - offset});
}

void SessionRecorder::write_held(std::string& out, bool all) {
  if (!held_) return;
  while (!held_->empty()) {
    Held& first = held_->front();
    if (auto* data = std::get_if<HeldBytes>(&first)) {
      const uint64_t stable = analyzer_.conversation().stable(data->from);
      const size_t n = all                      ? data->bytes.size()
                       : stable <= data->offset ? 0
                                                : std::min<uint64_t>(data->bytes.size(), stable - data->offset);
      held_bytes_ -= n;
      if (n > 0) write_data(data->from, data->at_us, data->offset, std::string_view(data->bytes).substr(0, n), out);
      if (n < data->bytes.size()) {
        data->bytes.erase(0, n);
        data->offset += n;
        return;
      }
    } else {
      write_omission(out);
      if (auto* connect = std::get_if<GatewayConnect>(&first)) flow_.connected(out, *connect);
      if (auto* hole = std::get_if<Hole>(&first)) flow_.hole(out, *hole);
      if (auto* closed = std::get_if<Closed>(&first)) flow_.close(out, *closed);
    }
    held_->pop_front();
  }
  held_.reset();
}

void SessionRecorder::lost(const Hole& hole, std::string& out) {
  offset_[side(hole.from)] += hole.length;
  analyzer_.hole(hole);
  mask(nullptr, 0, From::sender, 0);
  mask(nullptr, 0, From::gateway, 0);
  hold(hole, out);
}

void SessionRecorder::closed(const Closed& closed, std::string& out) {
  analyzer_.closed(closed);
  if (held_) return hold(closed, out);
  write_omission(out);
  flow_.close(out, closed);
}

size_t SessionRecorder::memory() const {
  return sizeof *this + analyzer_.conversation().memory() + omissions_.capacity() * sizeof(ByteRange) +
         (held_ ? held_bytes_ + held_->size() * sizeof(Held) : 0);
}

Transcript SessionRecorder::ended(const SessionEnd& end, std::string& out) {
  analyzer_.conversation().finish();
  mask(nullptr, 0, From::sender, 0);
  mask(nullptr, 0, From::gateway, 0);
  write_held(out);
  write_omission(out);
  flow_.end(out, end);
  return analyzer_.finish(end);
}

}  // namespace smtpscope
