#pragma once

#include <limits>
#include <memory>

#include <thrift/TOutput.h>
#include <thrift/protocol/TBinaryProtocol.h>
#include <thrift/transport/TBufferTransports.h>

#include "lambdaml/base/log.h"

/// How both ends talk; for .cc files of this layer.
namespace lambdaml::ps {

/// Sizes that a peer announces: strings (names, reasons) and lists. Vectors have their own limit.
constexpr std::int32_t kLongestString = 64 << 10;
constexpr std::int32_t kLongestList = 1 << 16;

/// What Thrift would print goes to the log.
inline void log_what_thrift_says() {
  ::apache::thrift::GlobalOutput.setOutputFunction(
      [](const char* text) { log::debug("thrift: {}", text); });
}

/// A buffered transport whose long reads go straight to where the bytes belong. Thrift's own limit
/// of 100 MB a message is lifted: who reads checks each size against a limit of its own.
class Buffered final : public ::apache::thrift::transport::TBufferedTransport {
 public:
  static constexpr std::uint32_t kBytes = 32 << 10;

  explicit Buffered(std::shared_ptr<::apache::thrift::transport::TTransport> inner)
      : TBufferedTransport(std::move(inner), kBytes) {
    const auto unlimited = std::make_shared<::apache::thrift::TConfiguration>(
        std::numeric_limits<std::int32_t>::max());
    for (TTransport* transport : {static_cast<TTransport*>(this), transport_.get()}) {
      transport->setConfiguration(unlimited);
      transport->updateKnownMessageSize(-1);
    }
  }

  std::uint32_t readSlow(std::uint8_t* buffer, std::uint32_t length) override {
    if (rBase_ == rBound_ && length >= kBytes) return transport_->read(buffer, length);
    return TBufferedTransport::readSlow(buffer, length);
  }
};

inline std::shared_ptr<::apache::thrift::protocol::TBinaryProtocol> make_protocol(
    std::shared_ptr<::apache::thrift::transport::TTransport> transport) {
  return std::make_shared<::apache::thrift::protocol::TBinaryProtocol>(
      std::move(transport), kLongestString, kLongestList, false, true);
}

}  // namespace lambdaml::ps
