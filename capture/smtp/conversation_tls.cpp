// TLS behind STARTTLS or from the first byte: its readable records become events.
#include "capture/smtp/conversation_state.h"

namespace smtpscope {

void Conversation::State::start_tls(From from, uint64_t offset) {
  if (!tls) tls.emplace().mode = "implicit";
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
