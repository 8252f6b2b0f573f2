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
  settings_.on_body = on_body;
  settings_.on_message_complete = on_complete;
  llhttp_init(&parser_, HTTP_REQUEST, &settings_);
  parser_.data = this;
}

HttpRequestReader::State HttpRequestReader::feed(std::string_view bytes) {
  if (state_ != State::incomplete || bytes.empty()) return state_;
  const size_t room = kMaxHead - fed_;
  const bool too_large = bytes.size() > room;
  bytes = bytes.substr(0, room);
  fed_ += bytes.size();
  const llhttp_errno_t error = llhttp_execute(&parser_, bytes.data(), bytes.size());
  if (state_ == State::complete) return state_;  // it pauses there, and says so by an error
  if (error != HPE_OK || too_large) state_ = State::bad;
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

int HttpRequestReader::on_body(llhttp_t*, const char*, size_t) { return kRefuse; }

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
