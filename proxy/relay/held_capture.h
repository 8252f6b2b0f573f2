// What a session has said while it is not known yet whether it is captured: its records, in memory and nowhere else, in
// bounds. Beyond these its further bytes are counted only, and become a hole of the recording if it is kept.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "proxy/relay/batch.h"

namespace smtpscope {

class HeldCapture {
 public:
  static constexpr size_t kMost = 4 << 20;        ///< bytes of one session
  static constexpr size_t kMostOfAll = 64 << 20;  ///< of all sessions

  /// `others`: bytes that other sessions hold, `most`: what all may.
  void add(const BatchRecord& record, const char* bytes, size_t others, size_t most) {
    const bool data = record.type == BatchRecord::Type::data, lost = record.type == BatchRecord::Type::lost;
    const size_t size = sizeof record + (data ? record.length : 0);
    if (full_ || ((data || lost) && (records_.size() + size > kMost || others + records_.size() + size > most))) {
      full_ = true;
      if (data || lost)
        lost_[record.from == From::sender ? 0 : 1] += record.length;
      else
        behind_.push_back(record);  // a handful: connected, closed, ended
      return;
    }
    records_.append(reinterpret_cast<const char*>(&record), sizeof record);
    if (data) records_.append(bytes, record.length);
  }
  /// Bytes held.
  size_t size() const { return records_.size(); }

  /// visit(record, bytes) for each record in order; where the hole is, lost(bytes of the sender, of the gateway).
  template <class Visit, class Lost>
  void play(Visit visit, Lost lost) {
    for (size_t at = 0; at < records_.size();) {
      BatchRecord record;
      std::memcpy(&record, records_.data() + at, sizeof record);
      at += sizeof record;
      visit(record, records_.data() + at);
      if (record.type == BatchRecord::Type::data) at += record.length;
    }
    if (lost_[0] + lost_[1] > 0) lost(lost_[0], lost_[1]);
    for (const BatchRecord& record : behind_) visit(record, nullptr);
  }

 private:
  std::string records_;
  std::vector<BatchRecord> behind_;  ///< what came after the hole began
  std::array<uint64_t, 2> lost_{};
  bool full_ = false;
};

}  // namespace smtpscope
