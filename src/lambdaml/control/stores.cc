#include "lambdaml/control/stores.h"

#include "lambdaml/storage/decorators.h"

namespace lambdaml::control {

Stores::Stores(Services services) : policy_(PatiencePolicy::standard()) {
  policy_.has_answered = services == Services::answered;
}

std::shared_ptr<storage::Storage> Stores::open(const std::string& text,
                                               std::shared_ptr<storage::Meter> meter) {
  const Uri uri = storage::resolve(text);
  if (!meter) {
    std::shared_ptr<storage::Meter>& own = meters_[uri.scheme];
    if (!own) own = std::make_shared<storage::Meter>();
    meter = own;
  }
  return storage::open(uri, std::move(meter), patience_with(uri));
}

std::shared_ptr<storage::Storage> Stores::open_channel(const std::string& uri,
                                                       const std::string& job_id,
                                                       std::shared_ptr<storage::Meter> meter) {
  return storage::with_prefix(open(uri, std::move(meter)), job_id + "/");
}

cost::UsageByStore Stores::usage() const {
  cost::UsageByStore out;
  for (const auto& [scheme, meter] : meters_) out[scheme] = meter->usage();
  return out;
}

void Stores::hurry() {
  hurried_ = true;
  for (const auto& [service, patience] : patience_) patience->give_up();
}

std::shared_ptr<Patience> Stores::patience_with(const Uri& uri) {
  Uri service = uri;
  service.path.clear();
  std::shared_ptr<Patience>& patience = patience_[service.text()];
  if (patience) return patience;
  patience = std::make_shared<Patience>(policy_);
  if (hurried_) patience->give_up();
  return patience;
}

}  // namespace lambdaml::control
