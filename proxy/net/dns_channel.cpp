#include "proxy/net/dns_channel.h"

#include <arpa/inet.h>

#include <stdexcept>
#include <utility>

#include "config/units.h"

namespace smtpscope {
namespace {

constexpr int kInternet = 1;
constexpr uint16_t kDnsPort = 53;

DnsAnswer failure_of(int status) {
  switch (status) {
    case ARES_ESERVFAIL:
      return DnsAnswer::failure_of("the name server failed (SERVFAIL)", "servfail");
    case ARES_EREFUSED:
      return DnsAnswer::failure_of("the name server refused to answer", "refused");
    case ARES_ETIMEOUT:
      return DnsAnswer::failure_of("no answer in time", "timeout");
    case ARES_ECONNREFUSED:
      return DnsAnswer::failure_of("no name server answers: they fail (SERVFAIL), refuse, or cannot be reached",
                                   "unreachable");
    default:
      return DnsAnswer::failure_of(ares_strerror(status));
  }
}

DnsAnswer answer_of(int status, const unsigned char* bytes, int length, const DnsQuestion& question) {
  DnsAnswer none;
  switch (status) {
    case ARES_SUCCESS:
      return parse_dns_answer({bytes, static_cast<size_t>(length)}, question);
    case ARES_ENODATA:
      return none;
    case ARES_ENOTFOUND:
      none.status = DnsAnswer::Status::no_name;
      return none;
    default:
      return failure_of(status);
  }
}

/// Calls `each` with every server of the channel.
template <class Each>
void for_each_server(ares_channel channel, Each each) {
  ares_addr_port_node* first = nullptr;
  if (ares_get_servers_ports(channel, &first) != ARES_SUCCESS) return;
  for (const ares_addr_port_node* node = first; node != nullptr; node = node->next) each(*node);
  ares_free_data(first);
}

}  // namespace

DnsChannel::DnsChannel(uv_loop_t* loop, const std::string& servers, int timeout_ms, int tries) : loop_(loop) {
  bool opened = open(servers, timeout_ms, tries, ARES_FLAG_NOSEARCH);
  // Where several are asked in turn, c-ares passes over those that fail or refuse, and of the last tells no more than
  // that it did not answer. Where there is but one, it is to say what the server said.
  if (opened && server_count() == 1) {
    ares_destroy(channel_);
    opened = open(servers, timeout_ms, tries, ARES_FLAG_NOSEARCH | ARES_FLAG_NOCHECKRESP);
  }
  if (!opened) throw std::runtime_error("no DNS look-ups: c-ares does not start with these servers: " + servers);
  timer_ = make_timer(loop_, this);
}

bool DnsChannel::open(const std::string& servers, int timeout_ms, int tries, int flags) {
  static const int initialised = ares_library_init(ARES_LIB_INIT_ALL);
  ares_options options{};
  options.timeout = timeout_ms;
  options.tries = tries;
  options.flags = flags;
  options.sock_state_cb_data = this;
  options.sock_state_cb = [](void* self, ares_socket_t fd, int readable, int writable) {
    static_cast<DnsChannel*>(self)->on_socket(fd, readable != 0, writable != 0);
  };
  if (initialised != ARES_SUCCESS ||
      ares_init_options(&channel_, &options,
                        ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB) != ARES_SUCCESS)
    return false;
  if (servers.empty() || ares_set_servers_ports_csv(channel_, servers.c_str()) == ARES_SUCCESS) return true;
  ares_destroy(channel_);
  return false;
}

size_t DnsChannel::server_count() const {
  size_t count = 0;
  for_each_server(channel_, [&](const ares_addr_port_node&) { ++count; });
  return count;
}

std::string DnsChannel::servers() const {
  std::string all;
  for_each_server(channel_, [&](const ares_addr_port_node& node) {
    char ip[INET6_ADDRSTRLEN] = "";
    inet_ntop(node.family, &node.addr, ip, sizeof ip);
    const auto port = static_cast<uint16_t>(node.udp_port != 0 ? node.udp_port : kDnsPort);
    all += (all.empty() ? "" : ", ") + format_host_port({ip, port});
  });
  return all;
}

DnsChannel::~DnsChannel() { ares_destroy(channel_); }

void DnsChannel::ask(const DnsQuestion& question, std::function<void(DnsAnswer)> answered) {
  struct Asked {
    DnsQuestion question;
    std::function<void(DnsAnswer)> answered;
  };
  ares_query(
      channel_, question.name.c_str(), kInternet, static_cast<int>(question.type),
      [](void* arg, int status, int, unsigned char* bytes, int length) {
        const std::unique_ptr<Asked> asked(static_cast<Asked*>(arg));
        if (status != ARES_EDESTRUCTION) asked->answered(answer_of(status, bytes, length, asked->question));
      },
      new Asked{question, std::move(answered)});
  arm();
}

void DnsChannel::on_socket(ares_socket_t fd, bool readable, bool writable) {
  if (!readable && !writable) {
    sockets_.erase(fd);
    return;
  }
  UvPtr<uv_poll_t>& poll = sockets_[fd];
  if (!poll) poll = make_poll(loop_, fd, this);
  if (!poll) return;  // its time-out answers
  uv_poll_start(poll.get(), (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0),
                [](uv_poll_t* handle, int status, int events) {
                  if (handle->data == nullptr) return;
                  auto& self = *static_cast<DnsChannel*>(handle->data);
                  uv_os_fd_t ready = -1;
                  uv_fileno(reinterpret_cast<uv_handle_t*>(handle), &ready);
                  const bool failed = status < 0;
                  ares_process_fd(self.channel_, failed || (events & UV_READABLE) ? ready : ARES_SOCKET_BAD,
                                  failed || (events & UV_WRITABLE) ? ready : ARES_SOCKET_BAD);
                  self.arm();
                });
}

void DnsChannel::arm() {
  if (!timer_) return;
  timeval next{};
  if (ares_timeout(channel_, nullptr, &next) == nullptr) {  // nothing is under way
    uv_timer_stop(timer_.get());
    return;
  }
  const auto ms = static_cast<uint64_t>(next.tv_sec * 1000 + next.tv_usec / 1000 + 1);
  uv_timer_start(
      timer_.get(),
      [](uv_timer_t* timer) {
        if (timer->data == nullptr) return;
        auto& self = *static_cast<DnsChannel*>(timer->data);
        ares_process_fd(self.channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
        self.arm();
      },
      ms, 0);
}

}  // namespace smtpscope
