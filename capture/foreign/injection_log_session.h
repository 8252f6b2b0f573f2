// One session of an Injection Debug Log, put together from its lines. What the log leaves out is told apart from what
// did not happen:
//  * a session whose beginning is in an older file begins late: in a message, if its first lines look like one;
//  * the gateway often logs a message without its end, or without its text. A 2xx to it shows that it had come whole;
//  so
//    does a refusal behind which the sender goes on with a command. What was not logged is a gap;
//  * a line that was cut has lost its end: a gap;
//  * logs that leave out the line ends (\015\012) get them back.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "capture/session_analyzer.h"

namespace smtpscope {

class InjectionLogSession {
 public:
  struct Line {
    From from = From::sender;
    int64_t at_us = 0;  ///< since the session began
    std::string bytes;
    bool cut = false;  ///< more followed, which the log does not have
  };

  explicit InjectionLogSession(SessionFacts facts);

  /// The next line, in the log's order.
  void line(Line line);
  /// A line that says itself that bytes are missing.
  void missing(const Hole& hole);
  /// Nothing more comes. `why`, if any, says why although the session was not over. The session is spent.
  Transcript finish(std::string_view why = {});

  const SessionFacts& facts() const { return analyzer_.facts(); }
  int64_t last_us() const { return last_us_; }
  /// Did the gateway take its leave: 221 to QUIT, or 421?
  bool over() const { return over_; }
  size_t memory() const { return sizeof *this + held_bytes_ + analyzer_.conversation().memory(); }

 private:
  void begin_late();
  void hold(Line line);
  void take_held();
  void take(Line line);
  void feed(const Line& line);
  void bytes(From from, int64_t at_us, std::string_view bytes);
  void gap(From from, int64_t at_us, uint64_t length, std::string_view reason);
  void end_message(int64_t at_us, uint64_t missing);
  void note_once(int64_t at_us, bool& said, const char* text);
  bool took_leave() const;

  SessionAnalyzer analyzer_;
  std::vector<Line> held_;  ///< lines whose meaning the next ones decide
  size_t held_bytes_ = 0;
  uint64_t sent_[2] = {0, 0};
  int64_t last_us_ = 0;
  bool begun_ = false;       ///< false: it begins late, and held_ decides where
  bool bare_ = false;        ///< this log leaves out line ends
  bool first_bare_ = false;  ///< its first line had none; the next one decides
  bool over_ = false;
  bool cut_said_ = false, end_said_ = false;
};

}  // namespace smtpscope
