#include "proxy/demo/peers.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "capture/transcript/transcript.h"

namespace smtpscope {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

struct Step {
  enum class What : uint8_t { bytes, fin, rst, pause };
  What what;
  From side = From::sender;
  std::string bytes{};
  milliseconds time{};
};

template <class T>
T number(std::string_view text, std::string_view line) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    throw std::logic_error(fmt::format("no number in the step \"{}\"", line));
  return value;
}

std::string message_lines(size_t size) {
  std::string lines;
  while (lines.size() < size) lines += "The quick brown fox jumps over the lazy dog, again and again.\r\n";
  lines.resize(size);
  return lines;
}

Step parse_step(std::string_view line) {
  if (line[0] == '+')
    return {.what = Step::What::pause, .time = milliseconds(std::lround(number<double>(line.substr(1), line) * 1000))};
  const bool raw_bytes = line.size() > 1 && line[1] == '~';
  if ((line[0] != 'S' && line[0] != 'G') || line.size() < 2 || (line[1] != ' ' && !raw_bytes))
    throw std::logic_error(fmt::format("unknown step \"{}\"", line));
  Step step{.what = Step::What::bytes, .side = line[0] == 'S' ? From::sender : From::gateway};
  const std::string_view rest = line.substr(2);
  if (raw_bytes) {
    step.bytes = raw(rest);
  } else if (rest == "fin" || rest == "rst") {
    step.what = rest == "fin" ? Step::What::fin : Step::What::rst;
  } else if (rest.starts_with("body ")) {
    step.bytes = message_lines(number<size_t>(rest.substr(5), line));
  } else {
    step.bytes = std::string(rest) + "\r\n";
  }
  return step;
}

std::vector<Step> parse_script(std::string_view script) {
  std::vector<Step> steps;
  while (!script.empty()) {
    const size_t end = std::min(script.find('\n'), script.size());
    if (end > 0) {
      Step step = parse_step(script.substr(0, end));
      const bool goes_on = !steps.empty() && step.what == Step::What::bytes && steps.back().what == step.what &&
                           steps.back().side == step.side;
      if (goes_on)
        steps.back().bytes += step.bytes;
      else
        steps.push_back(std::move(step));
    }
    script.remove_prefix(std::min(end + 1, script.size()));
  }
  return steps;
}

class Peer {
 public:
  Peer(std::string_view name, Fd fd, const Patience& patience) : name_(name), fd_(std::move(fd)), patience_(patience) {}

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n > 0) {
        sent_ += static_cast<uint64_t>(n);
        bytes.remove_prefix(static_cast<size_t>(n));
      } else if (errno == EAGAIN) {
        patience_.wait(fd_.get(), POLLOUT, fmt::format("the {} could not send", name_));
      } else if (errno != EINTR) {
        throw std::runtime_error(fmt::format("the {} could not send: {}", name_, std::strerror(errno)));
      }
    }
  }

  void finish() { ::shutdown(fd_.get(), SHUT_WR); }

  void reset() {
    reset_on_close(fd_.get());
    fd_.reset();
  }

  /// Until all that `other` sent is here.
  void receive_from(const Peer& other) {
    while (received_ < other.sent_)
      if (!read(fmt::format("what the {} sent did not reach the {}", other.name_, name_)))
        throw std::runtime_error(fmt::format("the {} was cut off from the {}", name_, other.name_));
  }

  /// Until `other`'s end of its stream is here.
  void receive_end_of(const Peer& other) {
    while (fd_ && read(fmt::format("the end of the {} did not reach the {}", other.name_, name_))) {
    }
  }

 private:
  /// False once the other side has ended, in order or not.
  bool read(std::string_view what) {
    char buffer[16 * 1024];
    while (true) {
      const ssize_t n = ::recv(fd_.get(), buffer, sizeof buffer, 0);
      if (n > 0) received_ += static_cast<uint64_t>(n);
      if (n >= 0) return n > 0;
      if (errno == EAGAIN)
        patience_.wait(fd_.get(), POLLIN, what);
      else if (errno != EINTR)
        return false;
    }
  }

  std::string_view name_;
  Fd fd_;
  const Patience& patience_;
  uint64_t sent_ = 0, received_ = 0;
};

}  // namespace

void Patience::wait(int fd, short events, std::string_view what) const {
  while (true) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) throw std::runtime_error(fmt::format("{} in time", what));
    pollfd polled[] = {{stop, POLLIN, 0}, {fd, events, 0}};
    if (::poll(polled, 2, static_cast<int>(left)) < 0 && errno != EINTR)
      throw std::runtime_error(fmt::format("poll: {}", std::strerror(errno)));
    if (polled[0].revents != 0) throw Interrupted();
    if (polled[1].revents != 0) return;
  }
}

void Patience::pause(milliseconds time) const {
  const auto until = Clock::now() + time;
  while (true) {
    const auto left = std::chrono::ceil<milliseconds>(until - Clock::now()).count();
    if (left <= 0) return;
    pollfd polled{stop, POLLIN, 0};
    if (::poll(&polled, 1, static_cast<int>(left)) > 0) throw Interrupted();
  }
}

Ends connect_through(const Address& proxy, const Address& source, int gateway_listener, const Patience& patience) {
  const int fd = connect_to(proxy, &source);  // on loopback, where no ICMP error can break it
  if (fd < 0)
    throw std::runtime_error(
        fmt::format("cannot connect from {} to the proxy: {}", endpoint_of(source).ip, std::strerror(-fd)));
  Ends ends{.sender = Fd(fd), .gateway = Fd(), .sender_address = {}};
  patience.wait(fd, POLLOUT, "the proxy did not accept the sender");
  if (const int error = socket_error(fd); error != 0)
    throw std::runtime_error(fmt::format("cannot connect to the proxy: {}", std::strerror(error)));
  ends.sender_address = endpoint_of(local_address(fd));
  while (!ends.gateway) {
    patience.wait(gateway_listener, POLLIN, "the proxy did not connect to the gateway");
    ends.gateway = Fd(::accept4(gateway_listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!ends.gateway && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
      throw std::runtime_error(fmt::format("the gateway cannot accept: {}", std::strerror(errno)));
  }
  return ends;
}

void play(std::string_view script, Ends ends, const Patience& patience) {
  Peer sender("sender", std::move(ends.sender), patience), gateway("gateway", std::move(ends.gateway), patience);
  for (const Step& step : parse_script(script)) {
    Peer& here = step.side == From::sender ? sender : gateway;
    Peer& there = step.side == From::sender ? gateway : sender;
    switch (step.what) {
      case Step::What::pause:
        patience.pause(step.time);
        break;
      case Step::What::bytes:
        here.send(step.bytes);
        there.receive_from(here);
        break;
      case Step::What::fin:
        here.finish();
        there.receive_end_of(here);
        break;
      case Step::What::rst:
        here.reset();
        there.receive_end_of(here);
        break;
    }
  }
}

}  // namespace smtpscope
