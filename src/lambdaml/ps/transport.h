#pragma once

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>

#include <thrift/TOutput.h>
#include <thrift/protocol/TBinaryProtocol.h>
#include <thrift/transport/TBufferTransports.h>

#include "lambdaml/base/log.h"

/// The transport and limits of both ends; for .cc files of this layer.
namespace lambdaml::ps {

/// Limits of announced strings (names, reasons) and lists. Vectors have their own limit.
constexpr std::int32_t kLongestString = 64 << 10;
constexpr std::int32_t kLongestList = 1 << 16;
/// The limit of nested structs and lists, including skipped ones.
constexpr int kDeepest = 32;
/// The limit of a message without vectors or values.
constexpr std::uint64_t kSmallMessage = 1 << 20;
/// The limit of an answer without vectors or values; a page of keys is the longest.
constexpr std::uint64_t kLongestAnswer = 64 << 20;
/// The limit of a message whose vectors have up to `largest` bytes each: there are four, and lists
/// of doubles are twice as long.
constexpr std::uint64_t long_message(std::uint64_t largest) { return 5 * largest + kSmallMessage; }

/// Redirects Thrift's output to the log.
inline void log_what_thrift_says() {
  ::apache::thrift::GlobalOutput.setOutputFunction(
      [](const char* text) { log::debug("thrift: {}", text); });
}

/// Lifts Thrift's own limit of 100 MB per message, which would also count bytes of earlier
/// messages: see Buffered.
inline std::shared_ptr<::apache::thrift::TConfiguration> make_configuration() {
  auto configuration = std::make_shared<::apache::thrift::TConfiguration>();
  configuration->setMaxMessageSize(std::numeric_limits<std::int32_t>::max());
  configuration->setRecursionLimit(kDeepest);
  return configuration;
}

/// A buffered transport that reads long data directly into its destination, and ends the connection
/// at a message beyond a limit.
class Buffered final : public ::apache::thrift::transport::TBufferedTransport {
 public:
  static constexpr std::uint32_t kBytes = 32 << 10;

  /// `most` is the limit of each message.
  Buffered(std::shared_ptr<::apache::thrift::transport::TTransport> inner, std::uint64_t most)
      : TBufferedTransport(std::move(inner), kBytes), usual_most_(most), most_(most) {
    const auto configuration = make_configuration();
    for (TTransport* transport : {static_cast<TTransport*>(this), transport_.get()}) {
      transport->setConfiguration(configuration);
      transport->updateKnownMessageSize(-1);
    }
  }

  /// Sets the limit of the message being read.
  void limit_message(std::uint64_t bytes) { most_ = bytes; }

  /// Whether all that was received was read.
  bool is_empty() const { return rBase_ == rBound_; }

  bool peek() override {
    if (rBase_ == rBound_) refill();
    return rBase_ < rBound_;
  }

  std::uint32_t readSlow(std::uint8_t* buffer, std::uint32_t length) override {
    if (rBase_ == rBound_) {
      if (length >= kBytes) return receive(buffer, length);
      refill();
    }
    const auto n = std::min(length, static_cast<std::uint32_t>(rBound_ - rBase_));
    std::memcpy(buffer, rBase_, n);
    rBase_ += n;
    return n;
  }

  /// Ends a message.
  std::uint32_t readEnd() override {
    begin_ = received_ - static_cast<std::uint64_t>(rBound_ - rBase_);
    most_ = usual_most_;
    resetConsumedMessageSize();
    return transport_->readEnd();
  }

 private:
  void refill() {
    setReadBuffer(rBuf_.get(), 0);
    setReadBuffer(rBuf_.get(), receive(rBuf_.get(), rBufSize_));
  }

  std::uint32_t receive(std::uint8_t* buffer, std::uint32_t length) {
    const std::uint64_t left = most_ - std::min(most_, received_ - begin_);
    if (left == 0)
      throw ::apache::thrift::protocol::TProtocolException(
          ::apache::thrift::protocol::TProtocolException::SIZE_LIMIT, "a message beyond the limit");
    const auto most = static_cast<std::uint32_t>(std::min<std::uint64_t>(length, left));
    const std::uint32_t n = transport_->read(buffer, most);
    received_ += n;
    return n;
  }

  const std::uint64_t usual_most_;
  std::uint64_t most_;
  std::uint64_t received_ = 0;
  std::uint64_t begin_ = 0;  ///< of `received_`, where the message begins
};

inline std::shared_ptr<::apache::thrift::protocol::TBinaryProtocol> make_protocol(
    std::shared_ptr<::apache::thrift::transport::TTransport> transport) {
  return std::make_shared<::apache::thrift::protocol::TBinaryProtocol>(
      std::move(transport), kLongestString, kLongestList, false, true);
}

}  // namespace lambdaml::ps
