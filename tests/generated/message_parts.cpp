#include "tests/generated/bodies.h"
#include "tests/generated/plan_maker.h"

namespace smtpscope {
namespace {

struct Refused {
  int code;
  std::string_view text, note;
};

constexpr Refused kRefused[] = {
    {550, "5.1.1 <c@gw.example>: Recipient address rejected: User unknown in virtual mailbox table",
     "rcpt-unknown-user"},
    {550, "5.1.1 The email account that you tried to reach does not exist.", "rcpt-unknown-user"},
    {550, "#5.1.0 Address rejected.", "rcpt-unknown-user"},
    {450, "4.2.0 <c@gw.example>: Recipient address rejected: Greylisted, see http://postgrey.example/", "greylisted"},
    {452, "4.5.3 Error: too many recipients", "rcpt-too-many"},
    {452, "4.2.2 Mailbox full", "rcpt-mailbox-full"},
    {554, "5.7.1 <c@other.example>: Relay access denied", "rcpt-relay-denied"},
};

constexpr std::string_view kSenders[] = {"a@sender.example",
                                         "",
                                         "a.b+tag@sender.example",
                                         "\"a b\"@sender.example",
                                         "bounce-4711=b=gw.example@lists.sender.example",
                                         "a@[192.0.2.1]"};
constexpr std::string_view kRecipients[] = {"b@gw.example",   "postmaster@gw.example",
                                            "postmaster",     "\"c d\"@gw.example",
                                            "b+x@gw.example", "prvs=0123abcdef=b@gw.example"};

}  // namespace

std::string PlanMaker::mail_parameters() {
  std::string out;
  if (size_ && dice_.chance(70)) out += " SIZE=" + std::to_string(dice_.below(30'000));
  binary_message_ = binary_ && dice_.chance(40);
  if (binary_message_)
    out += " BODY=BINARYMIME";
  else if (eight_bit_ && dice_.chance(60))
    out += dice_.chance(80) ? " BODY=8BITMIME" : " BODY=7BIT";
  if (utf8_ && dice_.chance(30)) out += " SMTPUTF8";
  if (dsn_ && dice_.chance(40)) out += dice_.chance(50) ? " RET=HDRS ENVID=QQ314159" : " RET=FULL";
  if (auth_ && dice_.chance(20)) out += dice_.chance(50) ? " AUTH=<>" : " AUTH=a+40sender.example";
  return out;
}

void PlanMaker::begin_message(ExpectedMessage& message) {
  message.from = dice_.of(kSenders);
  const std::string parameters = mail_parameters();
  if (utf8_ && parameters.find("SMTPUTF8") != std::string::npos && dice_.chance(50))
    message.from = "\xc3\xa4\xc3\xb6@sender.example";
  const std::string_view verb = dice_.chance(90) ? "MAIL FROM:<" : dice_.chance(50) ? "MAIL From:<" : "MAIL FROM: <";
  say(cased(std::string(verb) + message.from + ">" + parameters), ok(style_.mail), Group::member);
}

void PlanMaker::recipients(ExpectedMessage& message, bool all_accepted) {
  const uint64_t many = dice_.chance(92) ? dice_.between(1, 4) : dice_.between(5, 120);
  const uint64_t surely = dice_.below(many);  // this one at least is accepted
  const Refused& refused = dice_.of(kRefused);
  const bool some_refused = !all_accepted && many > 1 && dice_.chance(30);
  for (uint64_t i = 0; i < many; ++i) {
    std::string line = "RCPT TO:<" + std::string(dice_.of(kRecipients)) + ">";
    if (dsn_ && dice_.chance(40)) line += " NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b@gw.example";
    const bool no = some_refused && i != surely && dice_.chance(50);
    if (no) plan_.notes.insert(refused.note);
    static constexpr int kTaken[] = {250, 250, 250, 251, 252};
    say(cased(line), no ? ok(refused.text, refused.code) : ok(style_.rcpt, dice_.of(kTaken)), Group::member);
    if (dice_.chance(2)) between();
  }
  message.recipients = many;
}

void PlanMaker::callout(bool last) {
  ExpectedMessage message;
  begin_message(message);
  if (dice_.chance(90)) recipients(message, true);
  plan_.messages.push_back(message);
  must_quit_ = last && dice_.chance(50);
  if (!must_quit_) say(cased("RSET"), ok(style_.ok), Group::member);
}

void PlanMaker::message() {
  ExpectedMessage message;
  begin_message(message);
  recipients(message, false);
  message.accepted = true;
  if (chunking_ && dice_.chance(binary_message_ ? 100 : 40))
    chunks(message);
  else
    data(message);
  plan_.messages.push_back(message);
}

void PlanMaker::data(ExpectedMessage& message) {
  say(cased("DATA"), ok(style_.data, 354), Group::last);
  std::string body = dotted_message(dice_, eight_bit_);
  message.bytes = body.size() - 3;
  say(std::move(body), ok(filled(style_.taken, '%', queue_id(dice_))), Group::first);
}

void PlanMaker::chunks(ExpectedMessage& message) {
  const uint64_t many = dice_.between(1, 4);
  for (uint64_t i = 1; i <= many; ++i) {
    const bool last = i == many;
    const std::string chunk =
        dice_.chance(15) ? "" : chunk_of_message(dice_, binary_message_, eight_bit_ || binary_message_);
    message.bytes += chunk.size();
    const std::string size = std::to_string(chunk.size());
    say(cased("BDAT " + size +
              (!last              ? ""
               : dice_.chance(80) ? " LAST"
                                  : " last")) +
            chunk,
        ok(last ? filled(style_.taken, '%', queue_id(dice_)) : filled(style_.chunk, '#', size)), Group::member);
  }
}

}  // namespace smtpscope
