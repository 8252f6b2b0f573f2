#include "capture/transcript/text_view.h"

#include <fmt/format.h>

#include <algorithm>

#include "capture/error_words.h"
#include "capture/smtp/syntax.h"
#include "capture/transcript/json_text.h"
#include "capture/transcript/silence.h"
#include "capture/transcript/text_page.h"

namespace smtpscope {
namespace {

constexpr int64_t kSilence = 1'000'000;  // microseconds that count as one
constexpr size_t kMostListed = 10;       // messages, recipients of one

/// Are its times whole seconds?
bool coarse(const Transcript& t) { return t.session.resolution_us >= kSilence; }

std::string_view arrow_of(const Event& e) {
  if (e.kind == Event::Kind::connect || e.kind == Event::Kind::close || e.kind == Event::Kind::note) return "--";
  const bool inside_tls = e.kind == Event::Kind::tls || e.phase == Phase::tls;
  if (e.from == From::sender) return inside_tls ? "~>" : "->";
  return inside_tls ? "<~" : "<-";
}

std::string took(const Transcript& t, const Event& e) {
  const int64_t us = e.end_us - e.at_us;
  if (us < kSilence) return {};
  return fmt::format(", in {:.{}f} s", static_cast<double>(us) / 1e6, coarse(t) ? 0 : 1);
}

std::string text_of_body(const Transcript& t, const Event& e, bool chunk) {
  std::string text = fmt::format("[{}{}: {}", chunk ? "chunk" : "message", e.complete ? "" : " not finished",
                                 counted(e.bytes, "byte"));
  if (e.lines > 0) text += ", " + counted(e.lines, "line");
  text += took(t, e);
  if (!e.text.empty()) text += ", " + e.text;
  return text + ']';
}

std::string text_of_tls(const Transcript& t, const Event& e) {
  const std::string records = e.lines > 0 ? counted(e.lines, "record") + ", " : "";
  return fmt::format("[TLS {}: {}{}{}]", e.text, records, counted(e.bytes, "byte"), took(t, e));
}

std::string text_of_close(const Event& e) {
  const std::string who(name(e.from));
  std::string text = e.from == From::proxy    ? "the proxy closed both sides"
                     : e.how == CloseHow::fin ? who + " closed (FIN)"
                     : e.how == CloseHow::rst ? who + " reset the connection (RST)"
                                              : who + " was lost: the connection timed out";
  if (!e.text.empty()) text += ": " + e.text;
  return text;
}

std::string text_of_connect(const Transcript& t) {
  if (t.session.begins_late) return "what is known of the session begins here, in its middle";
  if (!t.session.source.empty()) return "the first that the log shows of this session";
  if (t.connect.state != GatewayConnect::State::connected) return "sender connected";
  return fmt::format("sender connected; gateway reached in {:.1f} ms", static_cast<double>(t.connect.took_us) / 1000);
}

std::string text_of_line(const Event& e) {
  std::string text = e.text.empty() ? "[empty line]" : e.text;
  if (e.truncated) text += " [... " + counted(e.bytes, "byte") + " in all]";
  if (!e.complete) text += " [cut off]";
  if (e.bare_lf) text += " [line end without CR]";
  return text;
}

std::string text_of(const Transcript& t, const Event& e, bool chunk) {
  switch (e.kind) {
    case Event::Kind::connect:
      return text_of_connect(t);
    case Event::Kind::body:
      return text_of_body(t, e, chunk);
    case Event::Kind::tls:
      return text_of_tls(t, e);
    case Event::Kind::close:
      return text_of_close(e);
    case Event::Kind::note:
      return e.text;
    default:
      return text_of_line(e);
  }
}

Paint paint_of(const Event& e) {
  if (e.kind == Event::Kind::body || e.kind == Event::Kind::tls) return Paint::dim;
  if (e.kind != Event::Kind::reply) return Paint::plain;
  return e.code >= 500 ? Paint::bad : e.code >= 400 ? Paint::warn : Paint::plain;
}

/// "byte 101 of the gateway's stream, 70 bytes long; event 7"
std::string where(const Finding& f) {
  std::string text = f.length == 0 && f.offset == 0
                         ? fmt::format("the {} had sent nothing", name(f.stream))
                         : fmt::format("byte {} of the {}'s stream, ", grouped(f.offset), name(f.stream)) +
                               (f.length > 0 ? counted(f.length, "byte") + " long" : "where more was due");
  if (f.event >= 0) text += fmt::format("; event {}", f.event);
  return text;
}

std::string listed(const std::vector<std::string>& items) { return fmt::format("{}", fmt::join(items, "; ")); }

void write_breakdown(TextPage& page, const Finding& f) {
  page.frame_edge(fmt::format("{}: phase {}, party {}{}", f.code, name(f.phase), name(f.party),
                              f.confidence == Confidence::certain ? "" : fmt::format(", {}", name(f.confidence))));
  if (!f.expected.empty()) page.framed("expected", f.expected);
  if (!f.got.empty()) page.framed("got", f.got);
  page.framed("where", where(f));
  if (!f.why.empty()) page.framed("why", f.why);
  if (!f.advice.empty()) page.framed("advice", f.advice);
  if (!f.references.empty()) page.framed("see", listed(f.references));
  page.frame_edge("");
}

void write_conversation(TextPage& page, const Transcript& t) {
  const std::vector<Silence> quiet = silences(t, kSilence);
  auto next_silence = quiet.begin();
  const Finding* breakdown = t.breakdown ? &*t.breakdown : nullptr;
  bool chunk = false;
  for (size_t i = 0; i <= t.events.size(); ++i) {
    for (; next_silence != quiet.end() && next_silence->before == i; ++next_silence)
      page.aside(
          fmt::format("... {:.{}f} s: {}", static_cast<double>(next_silence->to_us - next_silence->from_us) / 1e6,
                      coarse(t) ? 0 : 1, next_silence->why),
          Paint::warn);
    const bool at_end = i == t.events.size();
    if (breakdown != nullptr && breakdown->event < 0 && (at_end || t.events[i].at_us > breakdown->at_us)) {
      page.event(true, breakdown->at_us, "  ", "[here]", Paint::bad);
      write_breakdown(page, *breakdown);
      breakdown = nullptr;
    }
    if (at_end) break;
    const Event& e = t.events[i];
    if (e.kind == Event::Kind::command) chunk = e.verb == Verb::bdat;
    const bool marked = breakdown != nullptr && breakdown->event == static_cast<int32_t>(i);
    page.event(marked, e.at_us, arrow_of(e), text_of(t, e, chunk), paint_of(e));
    if (!marked) continue;
    write_breakdown(page, *breakdown);
    breakdown = nullptr;
  }
}

std::string recipient_text(const Recipient& r) {
  return fmt::format("<{}> ({})", r.address, r.code == 0 ? std::string("no reply") : std::to_string(r.code));
}

/// Which reply turned the whole message away: ": 552 at end of data"; of recipients their own codes tell.
std::string refusal_of(const Transcript& t, const Message& m) {
  const auto said = [&](int32_t reply, const char* where) {
    const bool refused =
        reply >= 0 && static_cast<size_t>(reply) < t.events.size() && t.events[static_cast<size_t>(reply)].code >= 400;
    return refused ? fmt::format(": {} {}", t.events[static_cast<size_t>(reply)].code, where) : std::string();
  };
  if (std::string text = said(m.mail_reply, "at MAIL"); !text.empty()) return text;
  if (std::string text = said(m.final_reply, m.ended ? "at end of data" : "during the message"); !text.empty())
    return text;
  return said(m.data_reply, m.bdat ? "at BDAT" : "at DATA");
}

std::string message_text(const Transcript& t, const Message& m) {
  std::vector<std::string> to;
  for (const Recipient& r : m.recipients)
    if (to.size() < kMostListed) to.push_back(recipient_text(r));
  std::string text = (m.mail_from ? fmt::format("from <{}>", *m.mail_from) : std::string("without MAIL")) + " to " +
                     (to.empty() ? "nobody" : fmt::format("{}", fmt::join(to, ", ")));
  if (to.size() < m.recipients.size()) text += fmt::format(" and {} more", m.recipients.size() - to.size());
  if (m.body >= 0) text += ", " + counted(m.bytes, "byte");
  const bool deliverable = std::any_of(m.recipients.begin(), m.recipients.end(),
                                       [](const Recipient& r) { return r.code >= 200 && r.code < 300; });
  text += m.accepted                   ? ": accepted"
          : m.withdrawn && deliverable ? ": given up by the sender before DATA"
                                       : ": not accepted" + refusal_of(t, m);
  if (!m.queue_id.empty()) text += ", the gateway's queue id is " + m.queue_id;
  return text;
}

std::string capture_text(const Transcript& t) {
  std::vector<std::string> parts;
  if (t.session.source == "injection-log")
    parts.emplace_back("read from an injection debug log, which does not record who closed the connection, or how");
  if (coarse(t)) parts.push_back(fmt::format("times are whole seconds: +-{} s", t.session.resolution_us / kSilence));
  if (t.interrupted) parts.emplace_back("interrupted: the recording stops before the session's end");
  if (!t.capture_loss.empty()) parts.push_back("not complete: " + t.capture_loss);
  if (t.capture.gaps > 0) parts.push_back(counted(t.capture.gaps, "gap") + " in the recording");
  if (t.capture.truncated_bytes > 0)
    parts.push_back(counted(t.capture.truncated_bytes, "byte") + " of messages left out, as the settings ask");
  if (t.capture.masked_bytes > 0) parts.push_back(counted(t.capture.masked_bytes, "byte") + " of secrets masked");
  return listed(parts);
}

/// What the sender calls itself: the argument of its last EHLO or HELO.
std::string helo_of(const Transcript& t) {
  for (auto e = t.events.rbegin(); e != t.events.rend(); ++e)
    if (e->verb == Verb::ehlo || e->verb == Verb::helo || e->verb == Verb::lhlo)
      return e->text.size() > 5 ? e->text.substr(5) : std::string();
  return {};
}

std::string endpoint_text(const Endpoint& e) {
  if (e.ip.empty()) return "not known";
  if (e.port == 0) return e.ip;
  return e.ip.find(':') == std::string::npos ? fmt::format("{}:{}", e.ip, e.port)
                                             : fmt::format("[{}]:{}", e.ip, e.port);
}

std::string look_up_text(const ReverseLookUp& ptr) {
  const auto after = [](const std::string& status, int64_t us) {
    return fmt::format("{} {:.1f} s", status == "pending" ? "still unanswered after" : "in",
                       static_cast<double>(us) / 1e6);
  };
  if (ptr.status == "unreachable")
    return fmt::format("no name server answered the proxy, {}", after(ptr.status, ptr.name_us));
  if (ptr.name.empty())
    return fmt::format("no name{}, {}", ptr.status == "pending" ? "" : " (" + ptr.status + ")",
                       after(ptr.status, ptr.name_us));
  return fmt::format(
      "{}, {}; {} {}", ptr.name, after(ptr.status, ptr.name_us),
      ptr.verified ? "it leads back to the address," : "it does not lead back to the address,",
      ptr.forward_status == "ok" || ptr.forward_status == "pending"
          ? after(ptr.forward_status, ptr.forward_us)
          : fmt::format("{} in {:.1f} s", ptr.forward_status, static_cast<double>(ptr.forward_us) / 1e6));
}

/// Whose address the gateway saw; empty where nobody knows.
std::string whom_it_saw(const Transcript& t) {
  const SessionFacts& s = t.session;
  if (t.connect.state != GatewayConnect::State::connected) return "";  // it saw nobody
  if (s.sees == "sender")
    return ", saw the sender's own address" + (s.sees_port != 0 ? fmt::format(", with port {}", s.sees_port) : "");
  if (s.sees == "proxy-header" || !s.header.empty()) return ", told the sender's address by " + s.header;
  return s.sees == "proxy" ? ", saw the proxy's address" : "";
}

/// What is there to do where the session cannot be read.
std::string advice_inside_tls(const Transcript& t) {
  std::string when = iso_utc(t.session.started_us).substr(0, 19);
  when[10] = ' ';
  const bool by_proxy = t.session.sees == "proxy";
  std::string text = fmt::format(
      "What became of the mail stands in the gateway's log: look there for a connection of {} at {} UTC (many logs are "
      "in "
      "local time).",
      by_proxy ? "the proxy's address" : t.session.sender.ip, when);
  if (t.session.instance.empty()) return text;  // a capture of others: its proxy is not ours to advise
  return text + fmt::format(
                    " To read such sessions here, let the gateway offer {} no STARTTLS for a while (Postfix: "
                    "smtpd_discard_ehlo_keyword_address_maps with that address and \"starttls, silent-discard\"). What "
                    "senders do not insist to encrypt then crosses the network in clear.",
                    by_proxy ? "the proxy's address" : "the sender's address");
}

void write_header(TextPage& page, const Transcript& t) {
  const std::string helo = helo_of(t);
  page.labelled("Sender", endpoint_text(t.session.sender) + (helo.empty() ? "" : ", calls itself " + helo));
  if (t.session.via) page.labelled("Via", endpoint_text(*t.session.via) + ", whose PROXY header named the sender");
  if (t.ptr) page.labelled("DNS", look_up_text(*t.ptr));
  page.labelled("Gateway",
                endpoint_text(t.session.gateway) +
                    (t.connect.state == GatewayConnect::State::failed ? ", not reached: " + error_words(t.connect.error)
                     : t.connect.state == GatewayConnect::State::pending ? ", not reached"
                                                                         : "") +
                    whom_it_saw(t));
  std::string when = iso_utc(t.session.started_us);
  when[10] = ' ';
  if (coarse(t))
    page.labelled("When", when.substr(0, 19) + fmt::format(" UTC, for {} s", t.duration_us / kSilence));
  else
    page.labelled("When", when.substr(0, 23) + " UTC, for " + seconds_text(t.duration_us) + " s");
  page.labelled("Session", fmt::format("{}, ICID {}", t.session.id, t.session.icid));
  switch (t.verdict) {
    case Verdict::delivered:
      page.labelled("Verdict", "DELIVERED", Paint::good);
      break;
    case Verdict::breakdown:
      page.labelled("Verdict", t.breakdown ? "BREAKDOWN: " + t.breakdown->code : "BREAKDOWN", Paint::bad);
      break;
    case Verdict::no_mail:
      page.labelled("Verdict", "NO MAIL MEANT", Paint::bold);
      break;
    case Verdict::unknown:
      page.labelled("Verdict", "UNKNOWN", Paint::warn);
      break;
  }
  if (!t.summary.empty()) page.labelled("", t.summary);
  if (t.verdict == Verdict::unknown && t.tls && t.tls->application_data) page.labelled("Advice", advice_inside_tls(t));
}

}  // namespace

std::string render_text(const Transcript& t, const TextOptions& options) {
  int64_t last_us = t.duration_us;
  for (const Event& e : t.events) last_us = std::max(last_us, e.at_us);
  TextPage page(static_cast<size_t>(std::max(options.width, 60)), options.colour, last_us, coarse(t));
  write_header(page, t);
  page.blank();
  write_conversation(page, t);
  page.blank();
  for (size_t i = 0; i < std::min(t.messages.size(), kMostListed); ++i)
    page.labelled("Message", message_text(t, t.messages[i]));
  if (t.messages.size() > kMostListed)
    page.labelled("", fmt::format("and {}", counted(t.messages.size() - kMostListed, "more message")));
  for (const Finding& note : t.notes) {
    page.labelled("Note",
                  fmt::format("{} at {} s: {}", note.code,
                              coarse(t) ? std::to_string(note.at_us / kSilence) : seconds_text(note.at_us), note.why),
                  Paint::warn);
    if (!note.advice.empty()) page.labelled("", note.advice);
  }
  if (const std::string capture = capture_text(t); !capture.empty()) page.labelled("Capture", capture);
  std::string text = page.take();
  if (text.ends_with("\n\n")) text.pop_back();
  return text;
}

}  // namespace smtpscope
