// The TLS handshake behind STARTTLS, as far as it can be read from outside: hellos, certificates and alerts of TLS 1.2
// and older, and who closed after which flight. TLS 1.3 encrypts all behind its ServerHello, alerts as well; what such
// a handshake died of is guessed from its shape and said to be a guess.
#include <fmt/core.h>

#include <algorithm>

#include "capture/diagnosis/tables.h"
#include "capture/diagnosis/view.h"

namespace smtpscope {
namespace {

// A ClientHello and a ServerHello cut down to what can be read, and an empty certificate list.
#define CLIENT_HELLO                                                                                                   \
  "S~\\x16\\x03\\x01\\x00\\x31\\x01\\x00\\x00\\x2d\\x03\\x03aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb\\x00\\x00\\x02\\x13\\x01" \
  "\\x01\\x00\\x00\\x02\\x00\\x00\n"
#define SERVER_HELLO                                                                                              \
  "G~\\x16\\x03\\x03\\x00\\x2c\\x02\\x00\\x00\\x28\\x03\\x03aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb\\x00\\x13\\x01\\x00" \
  "\\x00\\x00\n"
#define CERTIFICATE "G~\\x16\\x03\\x03\\x00\\x07\\x0b\\x00\\x00\\x03\\x00\\x00\\x00\n"
#define GRANTED "use hello\nS STARTTLS\nG 220 2.0.0 Ready to start TLS\n"
#define ALERT(number) "~\\x15\\x03\\x03\\x00\\x02\\x02\\x" number "\n"
#define ENDED "G fin\nS fin\n"
#define OTHER_ALERT GRANTED CLIENT_HELLO "G" ALERT("0a") ENDED

bool handshake_broke(const View& v) {
  const bool tls = v.inside_tls() && (v.c.tls->mode == "starttls" || v.answered_in_tls);
  return v.broken() && tls && !v.c.tls->application_data;
}

/// The alert that ended the handshake: the first fatal one; failing that the first.
int32_t first_alert(const View& v) {
  int32_t warning = -1;
  for (int32_t i = 0; i < static_cast<int32_t>(v.events.size()); ++i) {
    const Event& e = *v.at(i);
    if (e.kind != Event::Kind::tls || !e.text.starts_with("alert")) continue;
    if (e.text.starts_with("alert fatal")) return i;
    if (warning < 0) warning = i;
  }
  return warning;
}

bool is_one_of(std::string_view text, std::initializer_list<int> numbers) {
  return std::any_of(numbers.begin(), numbers.end(),
                     [&](int n) { return text.ends_with('(' + std::to_string(n) + ')'); });
}

std::string versions(const View& v) {
  const TlsFacts& tls = *v.c.tls;
  std::string text;
  if (!tls.client_version.empty()) text += " The sender offers up to " + tls.client_version + ".";
  if (!tls.server_version.empty()) text += " The gateway chose " + tls.server_version + ".";
  if (!tls.sni.empty()) text += " The sender asked for the name " + tls.sni + ".";
  return text;
}

/// The handshake ended with one of these alerts. `at_fault`: the side that sent the alert, or (peer) the other.
std::optional<Match> alert(const View& v, std::initializer_list<int> numbers, bool peer, std::string_view meaning) {
  if (!handshake_broke(v)) return std::nullopt;
  const int32_t i = first_alert(v);
  if (i < 0 || !is_one_of(v.at(i)->text, numbers)) return std::nullopt;
  Match m = match_event(v, i);
  const From from = v.at(i)->from, at_fault = peer ? peer_of(from) : from;
  m.party = at_fault == From::sender ? Party::sender : Party::gateway;
  m.confidence = Confidence::likely;
  m.why = fmt::format("The {} ended the handshake: {}.{}", name(from), meaning, versions(v));
  return m;
}

bool said(const View& v, From from, std::string_view what) {
  return std::any_of(v.events.begin(), v.events.end(), [&](const Event& e) {
    return e.kind == Event::Kind::tls && e.from == from && e.text.find(what) != std::string::npos;
  });
}

bool spoke_tls(const View& v, From from) { return said(v, from, ""); }

/// Did it speak TLS before the first close? Some gateways send an alert to a sender that has already left.
bool began_tls(const View& v, From from) {
  return std::any_of(v.events.begin(), v.first_close < 0 ? v.events.end() : v.events.begin() + v.first_close,
                     [&](const Event& e) { return e.kind == Event::Kind::tls && e.from == from; });
}

/// The first thing in the clear that the sender sent behind the gateway's 220 to STARTTLS, where a ClientHello is due.
int32_t plain_behind_220(const View& v) {
  int64_t granted = INT64_MAX;
  for (int32_t i = 0; i < static_cast<int32_t>(v.events.size()); ++i) {
    const Event& e = *v.at(i);
    if (e.verb == Verb::starttls && v.accepted(v.replies[static_cast<size_t>(i)])) granted = v.answered_at(i);
    if (e.kind == Event::Kind::command && e.at_us >= granted && e.verb != Verb::starttls) return i;
  }
  return -1;
}

/// TLS 1.2: the gateway asked for a certificate, got an empty one, and ended the handshake with no more than "failure".
std::optional<Match> left_on_empty_certificate(const View& v) {
  constexpr uint64_t kEmpty = 12;  // record and message headers around a list of no certificates
  if (!handshake_broke(v) || v.c.tls->server_version == "TLS 1.3" || !said(v, From::gateway, "certificate_request") ||
      said(v, From::gateway, "encrypted handshake"))
    return std::nullopt;
  const bool empty = std::any_of(v.events.begin(), v.events.end(), [](const Event& e) {
    return e.kind == Event::Kind::tls && e.from == From::sender && e.text == "certificate" && e.bytes <= kEmpty;
  });
  const Event* alert = v.at(first_alert(v));
  const bool failure = alert != nullptr && alert->from == From::gateway && is_one_of(alert->text, {40});
  const bool closed = v.closed_by(From::gateway) && (alert == nullptr || alert->at_us >= v.close()->at_us);
  if (!empty || (!failure && !closed)) return std::nullopt;
  Match m = match_event(v, failure ? first_alert(v) : v.first_close);
  m.confidence = Confidence::likely;
  m.why = "The gateway asked for a certificate, the sender had none to show, and the gateway ended the handshake.";
  return m;
}

enum class Flight : uint8_t { none, client_hello, certificate, finished, other };

/// Behind which flight did the handshake end, without an alert that can be read?
Flight last_flight(const View& v) {
  if (!handshake_broke(v) || v.close() == nullptr || v.closed_by(From::proxy) || first_alert(v) >= 0 ||
      !spoke_tls(v, From::sender) || plain_behind_220(v) >= 0)
    return Flight::none;
  if (left_on_empty_certificate(v)) return Flight::none;
  if (v.closed_by(From::gateway) && !spoke_tls(v, From::gateway) && said(v, From::sender, "client_hello"))
    return Flight::client_hello;
  if (!v.closed_by(From::sender)) return Flight::other;
  if (v.c.tls->server_version == "TLS 1.3") {
    // The gateway's certificate is hidden in its application data. A sender that is content answers with a Finished of
    // 58 bytes or more; an alert is a record of 24.
    constexpr uint64_t kAlertRecord = 24;
    bool finished = false;
    for (const Event& e : v.events)
      finished = finished || (e.kind == Event::Kind::tls && e.from == From::sender && e.text == "application_data" &&
                              e.bytes > kAlertRecord);
    return said(v, From::gateway, "application_data") && !finished ? Flight::certificate : Flight::other;
  }
  // Some senders judge the certificate only when the handshake is done (nodemailer, curl), and leave without a word.
  constexpr std::string_view kFinished = "encrypted handshake";
  if (said(v, From::sender, kFinished) && said(v, From::gateway, kFinished)) return Flight::finished;
  const bool went_on = said(v, From::sender, "client_key_exchange");
  return said(v, From::gateway, "certificate") && !went_on ? Flight::certificate : Flight::other;
}

constexpr Rule kTls[] = {
    {.code = "tls-version",
     .title = "The sender and the gateway have no TLS version in common",
     .phase = Phase::tls,
     .party = Party::unknown,
     .expected = "TLS 1.2 or 1.3 on both sides",
     .why = "One side ended the handshake because of the other's TLS version.",
     .advice =
         "The side with only TLS 1.0 or 1.1 has to be updated. If its mail has to come in until then, allow the old "
         "version for this host alone, or let it send without TLS.",
     .references = {"RFC 8446 6.2", "RFC 8996"},
     .fires = GRANTED CLIENT_HELLO "G!" ALERT("46") ENDED,
     .quiet = OTHER_ALERT,
     .check = [](const View& v) -> std::optional<Match> {
       std::optional<Match> m = alert(v, {70}, true, "it does not take the TLS version that the other side speaks");
       if (!m) return m;
       const std::string& offered = v.c.tls->client_version;
       const bool old = offered == "SSL 3.0" || offered == "TLS 1.0" || offered == "TLS 1.1";
       if (m->stream == From::gateway && !offered.empty() && !old) m->party = Party::gateway;
       return m;
     }},
    {.code = "tls-no-common-cipher",
     .title = "The sender and the gateway have no cipher in common",
     .phase = Phase::tls,
     .party = Party::unknown,
     .expected = "a cipher, key exchange and signature that both sides know",
     .why = "One side found nothing that it accepts among what the other offers.",
     .advice =
         "Compare the two sides' cipher settings (openssl s_client -starttls smtp -cipher ...). The usual causes: a "
         "gateway that has only an ECDSA certificate and a sender that knows only RSA, a cipher list that was "
         "hardened on one side, or a gateway without any certificate. A gateway that demands a client certificate "
         "says the same in TLS 1.2.",
     .references = {"RFC 8446 6.2", "RFC 5246 7.2.2"},
     .fires = GRANTED CLIENT_HELLO "G!" ALERT("28") ENDED,
     .quiet = OTHER_ALERT,
     .check = [](const View& v) -> std::optional<Match> {
       std::optional<Match> m =
           alert(v, {40, 71}, false, "it found no cipher, key exchange or signature that both sides accept");
       if (m && left_on_empty_certificate(v)) return std::nullopt;
       if (m) m->confidence = Confidence::possible;  // that it is the fault of the one who says so
       return m;
     }},
    {.code = "tls-certificate-expired",
     .title = "The certificate has expired",
     .phase = Phase::tls,
     .party = Party::gateway,
     .expected = "a certificate that is valid today",
     .why = "One side does not take the other's certificate because its time is over.",
     .advice = "Renew the certificate and load it into the mail service, which does not follow by itself on many "
               "gateways. If it is still valid (openssl x509 -enddate), the other side's clock is wrong.",
     .references = {"RFC 8446 6.2", "RFC 5280 4.1.2.5"},
     .fires = GRANTED CLIENT_HELLO SERVER_HELLO CERTIFICATE "S!" ALERT("2d") ENDED,
     .quiet = OTHER_ALERT,
     .check = [](const View& v) { return alert(v, {45}, true, "the certificate that was shown has expired"); }},
    {.code = "tls-unknown-ca",
     .title = "The certificate's issuer is not trusted",
     .phase = Phase::tls,
     .party = Party::gateway,
     .expected = "a certificate with all of its chain, from an issuer that the other side knows",
     .why = "One side cannot follow the other's certificate to an issuer that it trusts.",
     .advice =
         "Most often the intermediate certificate is missing: openssl s_client -starttls smtp -showcerts must show "
         "it. Install the whole chain. A certificate that is self-signed or of a private CA has to be made known "
         "to the sender.",
     .references = {"RFC 8446 6.2", "RFC 5280 6"},
     .fires = GRANTED CLIENT_HELLO SERVER_HELLO CERTIFICATE "S!" ALERT("30") ENDED,
     .quiet = OTHER_ALERT,
     .check =
         [](const View& v) {
           return alert(v, {48}, true,
                        "the certificate's issuer is not trusted, or an intermediate certificate is missing");
         }},
    {.code = "tls-certificate-rejected",
     .title = "The certificate was not accepted",
     .phase = Phase::tls,
     .party = Party::gateway,
     .expected = "a certificate for the name in the MX record",
     .why = "One side does not take the other's certificate.",
     .advice =
         "Compare the names in the certificate (openssl x509 -ext subjectAltName) with the MX record and with the "
         "sender's policy (MTA-STS, DANE, a partner's TLS settings); look also at its key type and size, and "
         "whether it was revoked. The sender's TLS log names the reason.",
     .references = {"RFC 8446 6.2", "RFC 8461 4.1", "RFC 7672 3"},
     .fires = GRANTED CLIENT_HELLO SERVER_HELLO CERTIFICATE "S!" ALERT("2a") ENDED,
     .quiet = OTHER_ALERT,
     .check =
         [](const View& v) {
           return alert(v, {42, 43, 44, 46}, true, "the certificate that was shown is not acceptable");
         }},
    {.code = "tls-unknown-name",
     .title = "The gateway has no certificate for the name that was asked for",
     .phase = Phase::tls,
     .party = Party::gateway,
     .expected = "a certificate for the server name in the ClientHello",
     .why = "The sender asked for a server name (SNI) that the gateway does not know.",
     .advice = "Add a certificate for this name to the gateway, or have it answer unknown names with its default "
               "certificate. If the name is not yours, the sender's MX or smart host setting is wrong.",
     .references = {"RFC 6066 3"},
     .fires = GRANTED CLIENT_HELLO "G!" ALERT("70") ENDED,
     .quiet = OTHER_ALERT,
     .check =
         [](const View& v) { return alert(v, {112}, false, "it has no certificate for the name that was asked for"); }},
    {.code = "tls-client-certificate",
     .title = "The gateway demands a certificate of the sender",
     .phase = Phase::tls,
     .party = Party::gateway,
     .expected = "a handshake without a client certificate: few mail servers have one",
     .why = "The gateway ended the handshake because the sender showed no certificate.",
     .advice = "Set the gateway to ask for client certificates at most, not to require them, or limit this to the "
               "partners who have one (Cisco: verify client certificate of the mail flow policy).",
     .references = {"RFC 8446 4.3.2", "RFC 8446 6.2"},
     .fires = GRANTED CLIENT_HELLO SERVER_HELLO CERTIFICATE "G!" ALERT("74") ENDED,
     .quiet = OTHER_ALERT,
     .check =
         [](const View& v) {
           std::optional<Match> m = alert(v, {41, 116}, false, "it demands a certificate and got none");
           return m ? m : left_on_empty_certificate(v);
         }},
    {.code = "tls-damaged",
     .title = "The TLS handshake was damaged on its way",
     .phase = Phase::tls,
     .party = Party::network,
     .expected = "records as the other side sent them",
     .why = "One side could not read a record or message of the other.",
     .advice =
         "Compare captures of both ends: a firewall, IPS or load balancer that changes the handshake has to be told "
         "to leave port 25 alone. If nothing stands between, one side's TLS library is faulty: update it.",
     .references = {"RFC 8446 6.2"},
     .fires = GRANTED CLIENT_HELLO "G!" ALERT("32") ENDED,
     .quiet = OTHER_ALERT,
     .check = [](const View& v) -> std::optional<Match> {
       std::optional<Match> m = alert(v, {20, 21, 22, 50}, false, "what it got from the other side cannot be read");
       if (m) m->party = Party::network;
       return m;
     }},
    {.code = "tls-internal-error",
     .title = "The TLS software of one side failed",
     .phase = Phase::tls,
     .party = Party::unknown,
     .expected = "the rest of the handshake",
     .why = "One side ended the handshake with internal_error.",
     .advice =
         "Look in the TLS log of the side that sent the alert. On a gateway the usual causes are a private key that "
         "does not belong to the certificate or cannot be read, and a lack of memory; restart its mail service "
         "after mending it.",
     .references = {"RFC 8446 6.2"},
     .fires = GRANTED CLIENT_HELLO "G!" ALERT("50") ENDED,
     .quiet = OTHER_ALERT,
     .check = [](const View& v) { return alert(v, {80}, false, "an error inside its own TLS software"); }},
    {.code = "tls-not-client-hello",
     .title = "The sender went on in the clear where TLS has to begin",
     .phase = Phase::tls,
     .party = Party::sender,
     .expected = "a TLS ClientHello behind the gateway's 220",
     .why = "The gateway granted STARTTLS and waits for a handshake, but bytes in the clear came.",
     .advice =
         "Ask the sender to mend its client or its TLS setting: it takes STARTTLS for a word and goes on with EHLO. "
         "If its log shows a handshake, a device between answered STARTTLS in the gateway's place.",
     .references = {"RFC 3207 4"},
     .fires = GRANTED "S!EHLO mx.sender.example\n+10\nG fin\nS fin\n",
     .quiet = GRANTED "S EHLO mx.sender.example\nG 250 gw.example\nuse mail rcpt data body accepted bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       const int32_t plain = handshake_broke(v) && !spoke_tls(v, From::sender) ? plain_behind_220(v) : -1;
       if (plain < 0 || v.accepted(v.replies[static_cast<size_t>(plain)])) return std::nullopt;
       Match m = match_event(v, plain);
       m.phase = Phase::tls;
       return m;
     }},
    {.code = "tls-closed-on-client-hello",
     .title = "The gateway ended the connection on the sender's ClientHello",
     .phase = Phase::tls,
     .party = Party::gateway,
     .expected = "a ServerHello",
     .why = "The gateway granted STARTTLS, got the ClientHello and ended the connection without a ServerHello or an "
            "alert.",
     .advice =
         "Look in the gateway's TLS log: no certificate or key loaded, a crash, or a version and cipher list that "
         "fits nothing the sender offers. If the gateway knows nothing of the ClientHello, an IPS in front of it "
         "dropped it (large ClientHellos with post-quantum keys are a known cause).",
     .references = {"RFC 3207 4.1", "RFC 8446 4.1.1"},
     .fires = GRANTED CLIENT_HELLO "G!fin\nS fin\n",
     .quiet = GRANTED CLIENT_HELLO SERVER_HELLO ENDED,
     .check = [](const View& v) -> std::optional<Match> {
       if (last_flight(v) != Flight::client_hello) return std::nullopt;
       Match m = match_event(v, v.first_close);
       m.got += " after " + v.seconds(v.silence_us());
       m.why =
           "The gateway granted STARTTLS, got the ClientHello and ended the connection without a ServerHello or an "
           "alert." +
           versions(v);
       if (v.silence_us() >= kSlow) m.confidence = Confidence::likely;
       return m;
     }},
    {.code = "tls-closed-on-certificate",
     .title = "The sender left when it had seen the gateway's certificate",
     .phase = Phase::tls,
     .party = Party::gateway,
     .expected = "the sender's key exchange and Finished",
     .why = "The sender ended the connection behind the gateway's certificate, without an alert that can be read.",
     .advice = "The sender most likely did not accept the certificate: check its dates, its chain (openssl s_client "
               "-starttls smtp -showcerts), its names against the MX record, and your MTA-STS policy and TLSA records. "
               "The sender's TLS log or its TLS reports (RFC 8460) name the reason.",
     .references = {"RFC 8446 4.4.2", "RFC 8461 4.1", "RFC 7672 3"},
     .fires = GRANTED CLIENT_HELLO SERVER_HELLO CERTIFICATE "S!fin\nG fin\n",
     .quiet = GRANTED CLIENT_HELLO SERVER_HELLO "S fin\nG fin\n",
     .check = [](const View& v) -> std::optional<Match> {
       const Flight flight = last_flight(v);
       if (flight != Flight::certificate && flight != Flight::finished) return std::nullopt;
       Match m = match_event(v, v.first_close);
       m.confidence = Confidence::likely;
       if (flight == Flight::finished)
         m.why =
             "The handshake was complete, and the sender ended the connection " + v.seconds(v.silence_us()) +
             " later without its EHLO and without an alert that can be read. Some senders judge the certificate only "
             "then.";
       if (v.c.tls->server_version == "TLS 1.3")
         m.why =
             "The sender ended the connection before its Finished. TLS 1.3 hides the certificate and alerts: that "
             "the certificate was the reason is a guess from the sizes and order of the records.";
       if (v.c.tls->server_version == "TLS 1.3") m.confidence = Confidence::possible;
       if (v.silence_us() >= kSlow) m.confidence = Confidence::possible;
       return m;
     }},
    {.code = "tls-alert",
     .title = "The TLS handshake failed",
     .phase = Phase::tls,
     .party = Party::unknown,
     .expected = "the rest of the handshake",
     .why = "One side ended the handshake with an alert.",
     .advice = "Try the handshake by hand (openssl s_client -starttls smtp) with the versions and names above, and "
               "compare both "
               "sides' TLS settings.",
     .references = {"RFC 8446 6.2", "RFC 3207 4.1"},
     .fires = GRANTED CLIENT_HELLO "G!" ALERT("0a") ENDED,
     .quiet = "use hello mail rcpt data body accepted bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       if (!handshake_broke(v)) return std::nullopt;
       const int32_t i = first_alert(v);
       if (i < 0 || is_one_of(v.at(i)->text, {20, 21, 22, 40, 41, 42, 43, 44, 45, 46, 48, 50, 70, 71, 80, 112, 116}))
         return std::nullopt;  // these have rules of their own
       Match m = match_event(v, i);
       // Who sends the alert saw the fault.
       m.party = v.at(i)->from == From::sender ? Party::sender : Party::gateway;
       m.confidence = Confidence::possible;
       m.why = "The " + std::string(name(v.at(i)->from)) + " ended the handshake with an alert." + versions(v);
       return m;
     }},
    {.code = "tls-not-begun",
     .title = "The sender asked for TLS and then sent no handshake",
     .phase = Phase::tls,
     .party = Party::sender,
     .expected = "a TLS ClientHello",
     .why = "The gateway granted STARTTLS, and the sender ended the connection without beginning the handshake.",
     .advice =
         "Ask the sender for its TLS log. If it did send a ClientHello, large packets are lost on the way: check the "
         "path MTU.",
     .references = {"RFC 3207 4", "RFC 8446 4.1.2"},
     .fires = GRANTED "+0.5\nS!fin\nG fin\n",
     .quiet = GRANTED CLIENT_HELLO "S fin\nG fin\n",
     .check = [](const View& v) -> std::optional<Match> {
       if (!handshake_broke(v) || v.close() == nullptr || v.closed_by(From::proxy)) return std::nullopt;
       if (spoke_tls(v, From::sender) || began_tls(v, From::gateway) || plain_behind_220(v) >= 0) return std::nullopt;
       Match m = match_event(v, v.first_close);
       if (v.closed_by(From::gateway)) {
         if (!v.at_least(v.silence_us(), kSlow)) m.party = Party::gateway;
         m.why = "The gateway granted STARTTLS, no ClientHello came, and the gateway ended the connection after " +
                 v.seconds(v.silence_us()) + ".";
       }
       return m;
     }},
    {.code = "tls-handshake-cut",
     .title = "The connection ended in the middle of the TLS handshake",
     .phase = Phase::tls,
     .party = Party::unknown,
     .expected = "the rest of the handshake",
     .why = "One side ended the connection during the handshake without a readable alert. It did not like the other's "
            "certificate, name or settings, or ran into a time-out.",
     .advice =
         "Look in the TLS log of the side that closed. Try the handshake by hand with openssl s_client -starttls smtp. "
         "A firewall or IPS between may also have ended it.",
     .references = {"RFC 3207 4.1", "RFC 8446 6.1"},
     .fires = GRANTED CLIENT_HELLO SERVER_HELLO "S!fin\nG fin\n",
     .quiet = "use hello mail rcpt data body accepted bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       if (last_flight(v) != Flight::other) return std::nullopt;
       Match m = match_event(v, v.first_close);
       m.confidence = Confidence::likely;
       m.party = v.closed_by(From::sender) ? Party::sender : Party::gateway;
       std::string last[2];
       for (const Event& e : v.events)
         if (e.kind == Event::Kind::tls) last[e.from == From::sender ? 0 : 1] = e.text;
       m.why = fmt::format(
           "The {} ended the connection without a readable alert; the last of the sender was {}, of the "
           "gateway {}.{}",
           name(v.close()->from), last[0].empty() ? "nothing" : last[0], last[1].empty() ? "nothing" : last[1],
           v.c.tls->server_version == "TLS 1.3" ? " TLS 1.3 encrypts its alerts, so there may be one." : "");
       return m;
     }},
    {.code = "tls-not-offered",
     .title = "The sender left on an EHLO reply without STARTTLS",
     .kind = Rule::Kind::note,
     .phase = Phase::helo,
     .party = Party::gateway,
     .expected = "STARTTLS in the EHLO reply, for senders that insist on TLS",
     .why =
         "The sender took its leave right behind an EHLO reply that offers no STARTTLS. Health checks do that too; a "
         "mail server that insists on TLS (MTA-STS, DANE, a partner's rule) does it with its mail still in the queue.",
     .advice =
         "If the host is no health check and a partner misses mail, turn STARTTLS on at the gateway's listener. If "
         "it is on, look for a firewall that takes the word out of the EHLO reply.",
     .references = {"RFC 3207 4.1", "RFC 8461 5", "RFC 7672 2.2"},
     .fires = "G 220 gw.example ESMTP\nS EHLO a.example\nG!250 gw.example\nuse bye\n",
     .quiet = "G 220 gw.example ESMTP\nS EHLO a.example\nG~250-gw.example\\r\\n250 STARTTLS\\r\\n\nuse bye\n",
     .check = [](const View& v) -> std::optional<Match> {
       if (v.verdict != Verdict::no_mail || v.helo_ok < 0 || v.offers("STARTTLS", v.helo_ok) || v.c.tls ||
           !v.messages.empty())
         return std::nullopt;
       size_t asked = 0;
       for (const Event& e : v.events) asked += e.kind == Event::Kind::command && e.verb != Verb::quit ? 1U : 0U;
       const Event* hello = v.at(v.at(v.helo_ok)->answers);
       if (asked != 1 || hello == nullptr || hello->verb != Verb::ehlo || v.quit < 0 ||
           v.at(v.quit)->at_us - v.at(v.helo_ok)->end_us > kImpatient)
         return std::nullopt;
       Match m = match_event(v, v.helo_ok);
       m.confidence = Confidence::possible;
       return m;
     }},
};

}  // namespace

std::span<const Rule> rules_tls() { return kTls; }

}  // namespace smtpscope
