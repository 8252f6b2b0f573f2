// Makes healthy sessions of everything that RFC 5321 and its extensions allow a sender and a gateway to do.
#pragma once

#include "tests/generated/gateway_style.h"
#include "tests/generated/plan.h"
#include "tests/generated/random.h"

namespace smtpscope {

class PlanMaker {
 public:
  explicit PlanMaker(Dice& dice);

  Plan make();

 private:
  // session_parts.cpp
  /// Where what is sent may stand among others that are sent without waiting (RFC 2920 3.1).
  enum class Group : uint8_t { alone, member, last, first };
  /// Adds one exchange.
  void say(std::string sent, std::string reply, Group group = Group::alone);
  /// A command in the case and with the blanks that a sender may use.
  std::string cased(std::string_view command);
  std::string ok(std::string_view text, int code = 250);
  void greet();
  void hello();
  void ehlo(bool starttls, bool pipe_connect = false);
  void auth();
  void auth_accepted();
  void refused_starttls();
  void starttls();
  /// A command that has nothing to do with a message.
  void between();
  void end();

  // message_parts.cpp
  void message();
  /// MAIL and RCPT of a message that the sender then gives up, as those do who ask whether an address exists.
  void callout(bool last = false);
  void begin_message(ExpectedMessage& message);
  void recipients(ExpectedMessage& message, bool all_accepted);
  void data(ExpectedMessage& message);
  void chunks(ExpectedMessage& message);
  std::string mail_parameters();

  Dice& dice_;
  const GatewayStyle& style_;
  Plan plan_;
  bool pipelining_ = false, chunking_ = false, eight_bit_ = false, binary_ = false, utf8_ = false, dsn_ = false;
  bool size_ = false, auth_ = false;
  bool groups_ = false;  ///< this sender uses what PIPELINING allows
  bool open_ = false;    ///< what is sent next need not wait
  bool slow_ = false;    ///< this session takes its time, within RFC 5321 4.5.3.2
  bool binary_message_ = false;
  bool must_quit_ = false;  ///< a transaction is open that only QUIT gives up
  unsigned idle_commands_ = 0;
};

}  // namespace smtpscope
