// What a postmaster wants to know of each sender after a debug window: counts, and what shows only across sessions
// (retries, duplicates, limits, differences). Pure: digests in, values out; summary_text.h and summary_json.h show
// them.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "capture/summary/session_digest.h"

namespace smtpscope {

/// A message to one recipient that was put off (4xx), and what became of it.
struct Retry {
  enum class End : uint8_t { delivered, refused, put_off_again, never };

  std::string mail_from;
  std::string recipient;          ///< empty: put off at MAIL, and no later try named one
  uint16_t code = 0;              ///< of the first refusal
  std::string first_id, last_id;  ///< sessions of the first and the last try
  std::string first_ip, last_ip;
  int64_t first_us = 0;          ///< Unix time of the first try
  uint64_t tries = 1;            ///< in all
  std::vector<int64_t> gaps_us;  ///< between tries; at most kMostGaps, the first ones
  int64_t took_us = 0;           ///< from the first to the last try
  int64_t watched_us = 0;        ///< from the last try to the end of the window
  End end = End::never;
};

std::string_view name(Retry::End);

/// A message that was sent again after its sender had not seen the final reply.
struct Duplicate {
  std::string mail_from, recipient;  ///< the first that both have
  std::string first_id, second_id;
  std::string first_ip, second_ip;
  std::string first_queue_id, second_queue_id;  ///< empty: none was seen
  int64_t after_us = 0;
  bool by_hash = false;      ///< the same body; else the same envelope and size
  bool first_taken = false;  ///< the gateway did accept the first, too late for the sender
  bool second_taken = false;
};

/// A pattern over sessions, as one plain sentence with its numbers.
struct Observation {
  std::string kind;  ///< slug: "same-silence", "banner-slower", ...; docs/summary.schema.json lists them
  std::string text;
  std::vector<std::string> sessions;  ///< some of them, at most kMostExamples
  std::vector<std::pair<std::string, double>> numbers;
};

struct CodeCount {
  uint64_t sessions = 0;
  std::string example;  ///< id of the newest
};

struct SenderSummary {
  std::string ip;
  std::string name;  ///< as it calls itself, in most of its sessions' newest; empty: it never did
  uint64_t sessions = 0;
  std::array<uint64_t, 4> verdicts{};  ///< by Verdict
  std::array<uint64_t, 5> messages{};  ///< by Outcome; put_off counts among refused for people
  uint64_t inside_tls = 0;             ///< of the verdicts `unknown`: what they did cannot be seen
  /// Recipients that were refused while others of the same message were accepted.
  struct LeftOut {
    uint64_t refused = 0, put_off = 0;
    std::string example;  ///< id of the newest such session
  } left_out;
  std::map<std::string, CodeCount> codes;
  int64_t first_us = 0, last_us = 0;  ///< Unix time of the first begin and the last end

  std::array<uint64_t, 4> retry_ends{};  ///< by Retry::End, all that there were
  std::vector<Retry> retries;            ///< at most kMostExamples of each end
  uint64_t duplicate_count = 0;
  std::vector<Duplicate> duplicates;  ///< at most kMostExamples
  std::vector<Observation> observations;

  uint64_t failures() const { return verdicts[static_cast<size_t>(Verdict::breakdown)]; }
};

inline constexpr size_t kMostExamples = 10, kMostGaps = 20;

/// The /24 or /64 in which a sender's retries may come; the address itself if it is none.
std::string network_of(const std::string& ip);

class Greetings;

class Summarizer {
 public:
  /// Up to when the store would show a retry of this address, Unix time in microseconds.
  using WindowEnd = std::function<int64_t(const std::string& ip)>;
  explicit Summarizer(WindowEnd window_end);
  ~Summarizer();
  Summarizer(const Summarizer&) = delete;
  Summarizer& operator=(const Summarizer&) = delete;

  /// Sessions of one network must follow each other. What is not `counted` is no part of the counts but may be the
  /// retry, or the good session, that a counted one is compared with. Memory: the digests of one network.
  void add(SessionDigest digest, bool counted);

  /// Senders of which a session counted: those with most failures first, then most sessions, then by address.
  std::vector<SenderSummary> finish();

 private:
  struct Entry {
    SessionDigest digest;
    bool counted;
  };
  struct Families;
  void flush();

  WindowEnd window_end_;
  std::string network_;
  std::vector<Entry> group_;
  std::vector<SenderSummary> done_;
  std::unique_ptr<Families> families_;
  std::unique_ptr<Greetings> greetings_;
};

}  // namespace smtpscope
