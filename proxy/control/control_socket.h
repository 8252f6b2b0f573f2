// Where a running proxy is asked by commands on its host: <store>/control.sock, for its own user and root. Whoever can
// open it may do all that can be done there.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "config/result.h"
#include "proxy/net/socket.h"

namespace smtpscope {

std::string control_socket_path(const std::string& store);

/// The socket that listens there. Takes the place of one that a process before has left, or still has (one that drains,
/// or hands over: whoever else is in charge of the store is not started beside); takes itself away at its end, unless
/// another process has taken its place.
class ControlSocket {
 public:
  explicit ControlSocket(std::string store) : store_(std::move(store)) {}
  ~ControlSocket();
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;

  /// A bound, non-blocking socket. The error is a sentence.
  Result<Fd> bind();
  /// Whose is the place now? `nobodys`: the file is gone, or what another process left that has ended.
  enum class Place : uint8_t { ours, anothers, nobodys };
  /// Looks. It may be called on another thread, as the disk may hang, and when this object is gone.
  std::function<Place()> place() const;

 private:
  std::string store_;
  uint64_t device_ = 0, inode_ = 0;  ///< of the file; 0: none
};

/// A blocking connection to it; the error is a sentence.
Result<Fd> connect_control_socket(const std::string& store);

}  // namespace smtpscope
