#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "lambdaml/ps/message.h"
#include "lambdaml/ps/transport.h"

namespace {

using namespace lambdaml;
using ::apache::thrift::transport::TMemoryBuffer;

constexpr std::uint32_t kLargest = 1 << 12;

template <class Message>
std::string written(const Message& message, const ps::Numbers& numbers) {
  ps::NumbersView view{numbers.totals, numbers.values};
  if (numbers.indices) view.indices = *numbers.indices;
  if (numbers.wanted) view.wanted = *numbers.wanted;
  const auto memory = std::make_shared<TMemoryBuffer>();
  ps::write(*ps::make_protocol(memory), message, view);
  return memory->getBufferAsString();
}

/// Reads the message, false when it is refused.
template <class Message>
bool read(std::string bytes, Message& message, ps::Numbers& numbers) {
  const auto memory = std::make_shared<TMemoryBuffer>(reinterpret_cast<std::uint8_t*>(bytes.data()),
                                                      static_cast<std::uint32_t>(bytes.size()));
  try {
    ps::read(*ps::make_protocol(memory), kLargest, message, numbers);
    return true;
  } catch (const ::apache::thrift::TException&) {
    return false;
  }
}

/// A message is refused with one of Thrift's exceptions, or has binaries within the limit, and then
/// it reads the same when it is written again.
template <class Message>
void check(const std::string& bytes) {
  Message message;
  ps::Numbers numbers;
  if (!read(bytes, message, numbers)) return;
  for (const Buffer* binary : {&numbers.totals, &numbers.values})
    if (binary->size() > kLargest) __builtin_trap();
  const std::string once = written(message, numbers);
  Message again;
  ps::Numbers same;
  if (!read(once, again, same) || written(again, same) != once) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  check<ps::Part>(bytes);
  check<ps::Sum>(bytes);
  return 0;
}
