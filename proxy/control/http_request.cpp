#include "proxy/control/http_request.h"

#include <algorithm>

namespace smtpscope {
namespace {

constexpr int kGoOn = 0, kRefuse = -1;

bool is_visible(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

}  // namespace

HttpRequestReader::HttpRequestReader() {
  llhttp_settings_init(&settings_);
  settings_.on_url = on_url;
  settings_.on_header_field = on_field;
  settings_.on_header_field_complete = on_field_complete;
  settings_.on_header_value = on_value;
  settings_.on_headers_complete = on_head_complete;
  settings_.on_body = on_body;
  settings_.on_message_complete = on_complete;
  llhttp_init(&parser_, HTTP_REQUEST, &settings_);
  parser_.data = this;
}

HttpRequestReader::State HttpRequestReader::feed(std::string_view bytes) {
  if (state_ != State::incomplete || bytes.empty()) return state_;
  while (!bytes.empty() && state_ == State::incomplete) {
    // A head is fed only so far as it may go; of a body it is known how long it is.
    const size_t room = in_body_ ? bytes.size() : kMaxHead - fed_;
    if (room == 0) return state_ = State::bad;
    const std::string_view piece = bytes.substr(0, room);
    const size_t body_before = request_.body.size();
    const llhttp_errno_t error = llhttp_execute(&parser_, piece.data(), piece.size());
    if (state_ != State::incomplete) return state_;  // it pauses or fails there, and says so by an error
    if (error != HPE_OK) return state_ = State::bad;
    fed_ += piece.size() - (request_.body.size() - body_before);
    bytes.remove_prefix(piece.size());
  }
  return state_;
}

int HttpRequestReader::on_url(llhttp_t* parser, const char* at, size_t size) {
  of(parser).url_.append(at, size);
  return kGoOn;
}

int HttpRequestReader::on_field(llhttp_t* parser, const char* at, size_t size) {
  of(parser).field_.append(at, size);
  return kGoOn;
}

int HttpRequestReader::on_field_complete(llhttp_t* parser) {
  HttpRequestReader& self = of(parser);
  std::string name;
  name.swap(self.field_);
  if (!is_visible(name)) return kRefuse;  // llhttp lets spaces pass
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  const bool before = !self.request_.authorization.empty();
  self.authorizes_ = name == "authorization";
  return self.authorizes_ && before ? kRefuse : kGoOn;
}

int HttpRequestReader::on_value(llhttp_t* parser, const char* at, size_t size) {
  if (HttpRequestReader& self = of(parser); self.authorizes_) self.request_.authorization.append(at, size);
  return kGoOn;
}

int HttpRequestReader::on_head_complete(llhttp_t* parser) {
  HttpRequestReader& self = of(parser);
  self.in_body_ = true;
  if ((parser->flags & F_CHUNKED) != 0 || (parser->flags & F_TRANSFER_ENCODING) != 0) return kRefuse;
  if (parser->content_length <= kMaxBody) return kGoOn;
  self.state_ = State::too_large;
  return kRefuse;
}

int HttpRequestReader::on_body(llhttp_t* parser, const char* at, size_t size) {
  std::string& body = of(parser).request_.body;
  if (body.size() + size > kMaxBody) return kRefuse;
  body.append(at, size);
  return kGoOn;
}

int HttpRequestReader::on_complete(llhttp_t* parser) {
  HttpRequestReader& self = of(parser);
  if (parser->http_major != 1 || self.url_.empty() || self.url_[0] != '/' || !is_visible(self.url_)) return kRefuse;
  std::string& value = self.request_.authorization;
  value.erase(value.find_last_not_of(" \t") + 1);  // RFC 9110 5.5: no part of the value
  self.request_.method = llhttp_method_name(static_cast<llhttp_method_t>(parser->method));
  self.request_.path = self.url_.substr(0, self.url_.find('?'));
  self.state_ = State::complete;
  return HPE_PAUSED;
}

}  // namespace smtpscope
