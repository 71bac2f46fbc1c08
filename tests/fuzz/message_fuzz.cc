#include <cstddef>
#include <cstdint>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/error.h"
#include "lambdaml/comm/message.h"

/// A message is refused with data_corrupt or gives numbers that lie within its bytes, and then it
/// is written again as it was.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lambdaml;
  const Buffer bytes(Bytes(reinterpret_cast<const std::byte*>(data), size));
  try {
    const comm::Message message = comm::decode(bytes, "fuzz");
    double sum = 0;
    for (const double total : message.totals) sum += total;
    for (const float value : message.values) sum += static_cast<double>(value);
    volatile double used = sum;
    static_cast<void>(used);
    if (message.form != comm::Form::f32) {
      comm::Message packed = message;
      if (message.count < 1'000'000)
        comm::expect(packed, "fuzz", message.head, message.totals.size(), message.count);
      return 0;
    }
    const Buffer again = comm::encode(message.head, message.totals, message.values);
    if (again.text() != bytes.text()) __builtin_trap();
  } catch (const Error& error) {
    if (error.code() != Code::data_corrupt) __builtin_trap();
  }
  return 0;
}
