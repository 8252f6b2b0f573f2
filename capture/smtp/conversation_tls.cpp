// TLS behind STARTTLS or from the first byte: its readable records become events.
#include "capture/smtp/conversation_state.h"

namespace smtpscope {
namespace {

uint8_t byte_of(std::string_view bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }

/// A record, as it also stands in the middle of a session.
Fit fits_record(std::string_view bytes) {
  if (byte_of(bytes, 0) < 0x14 || byte_of(bytes, 0) > 0x17) return Fit::no;
  if (bytes.size() > 1 && byte_of(bytes, 1) != 3) return Fit::no;
  if (bytes.size() < 3) return Fit::perhaps;
  return byte_of(bytes, 2) <= 4 ? Fit::yes : Fit::no;
}

/// What a client begins with. `surely`: nothing but a ClientHello will do.
Fit fits_hello(std::string_view bytes, bool surely) {
  if (Fit old = fits_sslv2_hello(bytes); old != Fit::no) return old;
  if (byte_of(bytes, 0) != 0x16 || (bytes.size() > 1 && byte_of(bytes, 1) != 3)) return Fit::no;
  if (bytes.size() < (surely ? 6U : 2U)) return Fit::perhaps;
  return !surely || byte_of(bytes, 5) == 1 ? Fit::yes : Fit::no;
}

}  // namespace

Fit Conversation::State::fits_tls(From from, std::string_view bytes, uint64_t offset) const {
  const Stream& stream = from == From::sender ? sender : gateway;
  if (stream.lost_sync && !stream.at_gap) return Fit::no;  // the middle of a line
  const bool begins = offset == 0 || tls_may_start;
  if (from == From::gateway) {
    if (reply_open || !(begins || sender_tls)) return Fit::no;
    // Where the sender's side is not known, no more is believed than what a server begins with.
    const bool any = begun_late || sender_tls;
    return any || bytes[0] == 0x15 || bytes[0] == 0x16 ? fits_record(bytes) : Fit::no;
  }
  const Fit hello = begins || sender.at_gap ? fits_hello(bytes, !begins) : Fit::no;
  if (hello != Fit::no) return hello;
  return gateway_tls || (begun_late && offset == 0) ? fits_record(bytes) : Fit::no;
}

void Conversation::State::start_tls(From from, uint64_t offset) {
  // Behind a greeting in the clear it is STARTTLS, also if that was not seen; it is none where a client that begins
  // with TLS is not answered so.
  const bool answered = sender_tls || from == From::gateway || sender.at_gap;
  const bool greeted = answered && !gateway_tls && gateway.position > 0;
  if (!tls) tls.emplace().mode = "implicit";
  if (greeted) tls->mode = "starttls";
  auto& reader = from == From::sender ? sender_tls : gateway_tls;
  reader = std::make_unique<TlsReader>(offset);
  auto& at = from == From::sender ? sender_tls_at : gateway_tls_at;
  if (!at) at = offset;
  if (from == From::sender) {
    withdraw();
    mode = Mode::tls;
  }
}

void Conversation::State::read_tls(From from, std::string_view bytes, int64_t at_us) {
  TlsReader& reader = from == From::sender ? *sender_tls : *gateway_tls;
  int32_t& run = from == From::sender ? sender_tls_run : gateway_tls_run;
  for (TlsRecord& record : reader.feed(bytes)) {
    const bool counted = record.type == TlsRecord::Type::encrypted || record.type == TlsRecord::Type::garbage;
    if (counted && run >= 0 && events[static_cast<size_t>(run)].text == record.text) {
      Event& event = events[static_cast<size_t>(run)];
      event.bytes += record.bytes;
      event.end_us = at_us;
      event.lines += record.type == TlsRecord::Type::encrypted ? 1 : 0;
      continue;
    }
    if (record.is_alert)
      tls->alert = std::string(name(from)) + ": " + record.text.substr(record.text.find_last_of(' ') + 1);
    Event event;
    event.kind = Event::Kind::tls;
    event.from = from;
    event.phase = Phase::tls;
    event.offset = record.offset;
    event.bytes = record.bytes;
    event.at_us = event.end_us = at_us;
    event.lines = record.type == TlsRecord::Type::encrypted ? 1 : 0;
    event.text = std::move(record.text);
    const int32_t index = push(std::move(event));
    run = counted ? index : -1;
  }
  if (from == From::sender) {
    tls->client_version = reader.version();
    tls->sni = reader.sni();
  } else {
    tls->server_version = reader.version();
  }
  // TLS 1.3 sends the end of its handshake as application data too: one record of a side may be all there is to it.
  const uint32_t needed = tls->server_version == "TLS 1.3" ? 2 : 1;
  tls->application_data = sender_tls && gateway_tls && sender_tls->application_records() >= needed &&
                          gateway_tls->application_records() >= needed;
}

}  // namespace smtpscope
