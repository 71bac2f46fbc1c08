#include "lambdaml/train/tenure.h"

#include <random>

#include <fmt/core.h>

#include "lambdaml/base/error.h"
#include "lambdaml/train/channel.h"

namespace lambdaml::train {

Tenure::Tenure(std::shared_ptr<storage::Storage> channel, std::uint32_t worker)
    : channel_(std::move(channel)), worker_(worker) {}

void Tenure::claim() {
  std::random_device random;
  token_ = fmt::format("{:08x}{:08x}", random(), random());
  channel_->save(keys::tenure(worker_), as_bytes(token_));
}

void Tenure::require() {
  const std::optional<Buffer> holder = channel_->load(keys::tenure(worker_));
  if (holder && holder->text() != token_)
    fail(Code::cancelled, "another try of worker {} has taken over", worker_);
}

bool Tenure::is_over() noexcept {
  try {
    if (!token_.empty()) require();
    return false;
  } catch (const Error& error) {
    return error.code() == Code::cancelled;
  } catch (...) {
    return false;
  }
}

}  // namespace lambdaml::train
