// Sockets as the relay needs them: listening with SO_REUSEPORT, connecting without waiting, resetting, and what the
// kernel knows of a connection. All functions return 0 or a negative errno where they can fail; nothing throws.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>

#include "capture/session.h"
#include "capture/unique_fd.h"

namespace smtpscope {

using Fd = UniqueFd;

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

/// A numeric address and port; none if `ip` is no IPv4 or IPv6 address.
std::optional<Address> make_address(const std::string& ip, uint16_t port);
/// Canonical text; a mapped IPv4 address as IPv4.
Endpoint endpoint_of(const Address& address);

/// 0 if nobody listens on the address yet, else the errno that tells why not to. listen_on() alone does not notice
/// another program there that shares ports too (SO_REUSEPORT, as Postfix does): the two would halve the connections.
/// `transparent` as for listen_on().
int port_taken(const Address& address, bool transparent = false);
/// Has a dead peer noticed by keep-alive probes of an idle connection, after about nine minutes. Listening sockets have
/// it already and accepted ones inherit it; a connection that is over at once does not need these four system calls.
void keep_alive(int fd);
/// Lets a socket be bound to an address that is not of this host, and take connections to such; needs CAP_NET_ADMIN.
/// `address` says of which family the socket is.
bool set_transparent(int fd, const Address& address);
/// A non-blocking listening socket; accepted sockets inherit TCP_NODELAY and keep-alive. Negative errno on failure.
/// `transparent`: takes connections to addresses that are not of this host (IP_TRANSPARENT; needs CAP_NET_ADMIN), and
/// may be bound to one.
int listen_on(const Address& address, bool transparent = false);
/// A non-blocking listening socket that shares its port with nobody. Negative errno on failure.
int listen_alone(const Address& address);
/// The address a socket is bound to; of an accepted socket, the address that its peer dialled.
Address local_address(int fd);
/// Is it an address of this host? (Its port does not matter.)
bool is_local(const Address& address);

/// Begins to connect; `source` is bound first if given, also if it is not an address of this host; its port is kept, or
/// chosen by the kernel if it is 0. Returns the descriptor, or a negative errno; the connection may be in progress, and
/// has no keep-alive yet. Once it is made, the caller ends hear_icmp() on it.
int connect_to(const Address& to, const Address* source);
bool is_connected(int fd);
/// The pending error of a socket, 0 if none.
int socket_error(int fd);
/// From now on close() sends RST.
void reset_on_close(int fd);
/// Bytes that were written but not yet sent by the kernel.
int unsent_bytes(int fd);
std::optional<LegTransport> transport_of(int fd);
/// The SYN that began an accepted connection; asked for once, the kernel then drops it. None if it did not keep it.
std::optional<SynFacts> syn_of(int fd);
/// The other end's address.
Endpoint peer_of(int fd);

/// "ECONNREFUSED" of ECONNREFUSED.
std::string errno_name(int error);

}  // namespace smtpscope
