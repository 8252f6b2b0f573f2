#include "proxy/net/proxy_protocol.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "capture/address_bytes.h"

namespace smtpscope {
namespace {

constexpr std::string_view kV1 = "PROXY ";
constexpr std::string_view kV2("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr size_t kV2Fixed = 16;
constexpr size_t kV4Block = 12, kV6Block = 36, kUnixBlock = 216;
constexpr uint8_t kCrc32c = 0x03;

ProxyHeader malformed(std::string_view problem) {
  ProxyHeader header;
  header.state = ProxyHeader::State::malformed;
  header.problem = problem;
  return header;
}

ProxyHeader complete(size_t size) {
  ProxyHeader header;
  header.state = ProxyHeader::State::complete;
  header.size = size;
  return header;
}

bool is_v4(const AddressBytes& bytes) {
  return std::all_of(bytes.begin(), bytes.begin() + 10, [](uint8_t b) { return b == 0; }) && bytes[10] == 0xff &&
         bytes[11] == 0xff;
}

// ------------------------------------------------------------------ version 1

/// Up to the next space, which is taken too; the whole rest at the end.
std::string_view next_word(std::string_view& rest) {
  const size_t space = std::min(rest.find(' '), rest.size());
  const std::string_view word = rest.substr(0, space);
  rest.remove_prefix(std::min(space + 1, rest.size()));
  return word;
}

/// "0".."65535" without leading zeros.
std::optional<uint16_t> port_of(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || (text.size() > 1 && text[0] == '0'))
    return std::nullopt;
  return port;
}

/// An address as version 1 spells it: of the family that the header names.
std::optional<std::string> ip_of(std::string_view text, bool v6) {
  if ((text.find(':') != std::string_view::npos) != v6 || text.find('\0') != std::string_view::npos)
    return std::nullopt;
  const auto bytes = address_bytes(std::string(text));
  if (!bytes) return std::nullopt;
  return address_text(*bytes);
}

ProxyHeader parse_v1(std::string_view bytes) {
  const size_t end = bytes.substr(0, kMaxProxyV1).find('\n');
  if (end == std::string_view::npos)
    return bytes.size() < kMaxProxyV1 ? ProxyHeader{} : malformed("a line of more than 107 bytes");
  if (bytes[end - 1] != '\r') return malformed("a line that does not end in CR LF");
  std::string_view rest = bytes.substr(0, end - 1);
  if (rest.find('\r') != std::string_view::npos) return malformed("a CR within the line");
  rest.remove_prefix(kV1.size());
  ProxyHeader header = complete(end + 1);
  const std::string_view family = next_word(rest);
  if (family == "UNKNOWN") return header;  // the rest of the line has to be ignored
  if (family != "TCP4" && family != "TCP6") return malformed("a family that is none of TCP4, TCP6, UNKNOWN");
  const bool v6 = family == "TCP6";
  const auto source = ip_of(next_word(rest), v6), destination = ip_of(next_word(rest), v6);
  if (!source || !destination) return malformed("an address that is none of its family");
  const auto source_port = port_of(next_word(rest));
  const bool spaced = bytes[end - 2] == ' ';
  const auto destination_port = port_of(next_word(rest));
  if (!source_port || !destination_port || !rest.empty() || spaced) return malformed("a port that is none");
  header.names_ends = true;
  header.source = {*source, *source_port};
  header.destination = {*destination, *destination_port};
  return header;
}

// ------------------------------------------------------------------ version 2

uint16_t big_endian(std::string_view bytes, size_t at) {
  return static_cast<uint16_t>(static_cast<uint8_t>(bytes[at]) << 8 | static_cast<uint8_t>(bytes[at + 1]));
}

/// CRC-32C (Castagnoli), bit by bit: it is asked for once a connection, of a hundred bytes.
uint32_t crc32c(std::string_view bytes, uint32_t crc) {
  for (const char c : bytes) {
    crc ^= static_cast<uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0x82F63B78U & (0U - (crc & 1)));
  }
  return crc;
}

/// Of the whole header with the checksum's own four bytes as zeros.
bool checksum_right(std::string_view header, size_t at) {
  constexpr std::string_view kZeros("\0\0\0\0", 4);
  uint32_t crc = crc32c(header.substr(0, at), ~0U);
  crc = ~crc32c(header.substr(at + 4), crc32c(kZeros, crc));
  return crc == (static_cast<uint32_t>(big_endian(header, at)) << 16 | big_endian(header, at + 2));
}

enum class Tlvs : uint8_t { right, torn, bad_checksum };

/// Walks the extensions from `at` to the end of the header: each has to lie within it, a checksum has to be right.
Tlvs check_tlvs(std::string_view header, size_t at) {
  std::optional<size_t> checksum;
  while (at < header.size()) {
    if (header.size() - at < 3) return Tlvs::torn;
    const size_t length = big_endian(header, at + 1), value = at + 3;
    if (length > header.size() - value) return Tlvs::torn;
    if (static_cast<uint8_t>(header[at]) == kCrc32c) {
      if (length != 4) return Tlvs::torn;
      checksum = value;
    }
    at = value + length;
  }
  return checksum && !checksum_right(header, *checksum) ? Tlvs::bad_checksum : Tlvs::right;
}

Endpoint endpoint_at(std::string_view bytes, size_t ip, size_t length, size_t port) {
  AddressBytes address{};
  if (length == 4) address[10] = address[11] = 0xff;
  std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(ip), length, address.end() - static_cast<int>(length));
  return {address_text(address), big_endian(bytes, port)};
}

ProxyHeader parse_v2(std::string_view bytes) {
  if (bytes.size() <= kV2.size()) return {};
  const auto version_command = static_cast<uint8_t>(bytes[12]);
  if (version_command >> 4 != 2) return malformed("a version that is not 2");
  if ((version_command & 15) > 1) return malformed("a command that is neither LOCAL nor PROXY");
  if (bytes.size() < kV2Fixed) return {};
  const size_t length = big_endian(bytes, 14);
  if (length > kMaxProxyV2Body) return malformed("a length of more than 4096 bytes");
  if (bytes.size() < kV2Fixed + length) return {};
  const std::string_view whole = bytes.substr(0, kV2Fixed + length);
  const bool local = (version_command & 15) == 0;
  const auto family = static_cast<uint8_t>(bytes[13] >> 4 & 15), transport = static_cast<uint8_t>(bytes[13] & 15);

  ProxyHeader header = complete(whole.size());
  const size_t block = family == 1 ? kV4Block : family == 2 ? kV6Block : family == 3 ? kUnixBlock : 0;
  if (local || family == 0) {
    // What follows has to be ignored, so only a checksum that is plainly one counts.
    if (block <= length && check_tlvs(whole, kV2Fixed + block) == Tlvs::bad_checksum) return malformed("a wrong CRC");
    return header;
  }
  if (family > 3 || transport != 1) return malformed("a family or transport that is no TCP or UNIX stream");
  if (length < block) return malformed("too short for its addresses");
  switch (check_tlvs(whole, kV2Fixed + block)) {
    case Tlvs::torn:
      return malformed("an extension that reaches beyond the header");
    case Tlvs::bad_checksum:
      return malformed("a wrong CRC");
    case Tlvs::right:
      break;
  }
  if (family == 3) return header;
  const size_t size = family == 1 ? 4 : 16, ports = kV2Fixed + 2 * size;
  header.names_ends = true;
  header.source = endpoint_at(whole, kV2Fixed, size, ports);
  header.destination = endpoint_at(whole, kV2Fixed + size, size, ports + 2);
  return header;
}

bool begins_like(std::string_view bytes, std::string_view signature) {
  const size_t n = std::min(bytes.size(), signature.size());
  return bytes.substr(0, n) == signature.substr(0, n);
}

void put16(std::string& out, size_t value) {
  out += static_cast<char>(value >> 8);
  out += static_cast<char>(value);
}

}  // namespace

ProxyHeader parse_proxy_header(std::string_view bytes) {
  if (begins_like(bytes, kV1)) return bytes.size() <= kV1.size() ? ProxyHeader{} : parse_v1(bytes);
  if (begins_like(bytes, kV2)) return parse_v2(bytes);
  return malformed("no PROXY header");
}

std::string encode_proxy_header(ProxyVersion version, const Endpoint& source, const Endpoint& destination) {
  const AddressBytes from = address_bytes(source.ip).value_or(AddressBytes{});
  const AddressBytes to = address_bytes(destination.ip).value_or(AddressBytes{});
  const bool v4 = is_v4(from) && is_v4(to);
  if (version == ProxyVersion::v1) {
    const auto text = [&](const AddressBytes& bytes) {
      return (!v4 && is_v4(bytes) ? "::ffff:" : "") + address_text(bytes);
    };
    return fmt::format("PROXY {} {} {} {} {}\r\n", v4 ? "TCP4" : "TCP6", text(from), text(to), source.port,
                       destination.port);
  }
  std::string out(kV2);
  out += '\x21';
  out += v4 ? '\x11' : '\x21';
  put16(out, v4 ? kV4Block : kV6Block);
  for (const AddressBytes* bytes : {&from, &to}) out.append(bytes->begin() + (v4 ? 12 : 0), bytes->end());
  put16(out, source.port);
  put16(out, destination.port);
  return out;
}

}  // namespace smtpscope
