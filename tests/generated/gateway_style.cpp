#include "tests/generated/gateway_style.h"

namespace smtpscope {
namespace {

constexpr GatewayStyle kStyles[] = {
    {"Postfix", "220 gw.example ESMTP Postfix (Debian/GNU)\r\n", "gw.example", "2.1.0 Ok", "2.1.5 Ok",
     "End data with <CR><LF>.<CR><LF>", "2.0.0 Ok: queued as %", "2.0.0 Ok: # bytes", "2.0.0 Ok", "2.0.0 Bye"},
    {"Exim", "220 gw.example ESMTP Exim 4.96 Tue, 24 Nov 2026 02:06:41 +0000\r\n",
     "gw.example Hello mx.sender.example [192.0.2.1]", "OK", "Accepted",
     "Enter message, ending with \".\" on a line by itself", "OK id=%", "# byte chunk received", "Reset OK",
     "gw.example closing connection"},
    {"Sendmail", "220 gw.example ESMTP Sendmail 8.17.1/8.17.1; Tue, 24 Nov 2026 02:06:41 GMT\r\n",
     "gw.example Hello mx.sender.example [192.0.2.1], pleased to meet you", "2.1.0 <a@sender.example>... Sender ok",
     "2.1.5 <b@gw.example>... Recipient ok", "Enter mail, end with \".\" on a line by itself",
     "2.0.0 % Message accepted for delivery", "2.0.0 # bytes", "2.0.0 Reset state",
     "2.0.0 gw.example closing connection"},
    {"Cisco", "220 gw.example ESMTP\r\n", "gw.example", "sender <a@sender.example> ok", "recipient <b@gw.example> ok",
     "go ahead", "ok:  Message % accepted", "ok", "reset", "gw.example"},
    {"Exchange", "220 GW.gw.example Microsoft ESMTP MAIL Service ready at Tue, 24 Nov 2026 02:06:41 +0000\r\n",
     "GW.gw.example Hello [192.0.2.1]", "2.1.0 Sender OK", "2.1.5 Recipient OK",
     "Start mail input; end with <CRLF>.<CRLF>",
     "2.6.0 <20261124020641.%@sender.example> [InternalId=4711, Hostname=GW.gw.example] Queued mail for delivery",
     "2.6.0 CHUNK received OK, # octets", "2.0.0 Resetting", "2.0.0 Service closing transmission channel"},
    {"Google", "220 mx.google.com ESMTP a640c23a62f3a-99db3 - gsmtp\r\n", "mx.google.com at your service, [192.0.2.1]",
     "2.1.0 OK a640c23a62f3a-99db3 - gsmtp", "2.1.5 OK a640c23a62f3a-99db3 - gsmtp",
     "Go ahead a640c23a62f3a-99db3 - gsmtp", "2.0.0 OK  1795485601 % - gsmtp", "2.0.0 OK a640c23a62f3a-99db3 - gsmtp",
     "2.1.5 Flushed a640c23a62f3a-99db3 - gsmtp", "2.0.0 closing connection a640c23a62f3a-99db3 - gsmtp"},
    {"Haraka", "220 gw.example ESMTP Haraka/3.0.2 ready (4F1A2B3C)\r\n",
     "gw.example Hello mx.sender.example [192.0.2.1]Haraka is at your service.", "sender <a@sender.example> OK",
     "recipient <b@gw.example> OK", "go ahead, make my day", "Message Queued (%)", "OK", "OK",
     "gw.example closing connection. Have a jolly good day."},
    {"OpenSMTPD", "220 gw.example ESMTP OpenSMTPD\r\n",
     "gw.example Hello mx.sender.example [192.0.2.1], pleased to meet you", "2.0.0 Ok",
     "2.1.5 Destination address valid: Recipient ok", "Enter mail, end with \".\" on a line by itself",
     "2.0.0 % Message accepted for delivery", "2.0.0 Ok", "2.0.0 Reset state", "2.0.0 Bye"},
    {"qmail", "220 gw.example ESMTP\r\n", "gw.example", "ok", "ok", "go ahead", "ok 1795485601 qp %", "ok", "flushed",
     "gw.example"},
    {"many lines",
     "220-gw.example ESMTP\r\n220-We do not authorize the use of this system to transport unsolicited\r\n"
     "220 and/or bulk e-mail.\r\n",
     "gw.example", "2.1.0 Ok", "2.1.5 Ok", "go ahead", "2.0.0 Ok: queued as %", "2.0.0 Ok", "2.0.0 Ok", "2.0.0 Bye"},
    {"of one word", "220 gw\r\n", "gw", "ok", "ok", "ok", "ok", "ok", "ok", "ok"},
    {"without a text", "220\r\n", "gw.example", "", "", "", "", "", "", ""},
};

}  // namespace

std::span<const GatewayStyle> gateway_styles() { return kStyles; }

std::string filled(std::string_view text, char mark, std::string_view by) {
  std::string out;
  for (const char c : text) {
    if (c == mark)
      out += by;
    else
      out += c;
  }
  return out;
}

std::string queue_id(Dice& dice) {
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string id;
  for (uint64_t i = dice.between(8, 14); i > 0; --i) id += kHex[dice.below(kHex.size())];
  return id;
}

std::string reply_of(Dice& dice, int code, std::string_view text) {
  const std::string number = std::to_string(code);
  std::string out;
  if (!text.empty() && dice.chance(8))
    for (uint64_t i = dice.between(1, 3); i > 0; --i) out += number + "-" + std::string(text) + "\r\n";
  out += number;
  // RFC 5321 4.2: clients have to take a reply without a text, and one without the blank before it.
  if (!text.empty() || dice.chance(50)) out += " ";
  return out.append(text) + "\r\n";
}

}  // namespace smtpscope
