#pragma once

#include <ParameterServer.h>

#include "lambdaml/ps/server/service.h"

namespace lambdaml::ps {

/// One connection's calls, in terms of the state: who has not said the token is refused, and what
/// goes wrong becomes the exception of the wire. For .cc files of this layer.
class Handler final : public wire::ParameterServerIf {
 public:
  explicit Handler(Service& service);
  ~Handler() override;

  Service& service() const { return service_; }

  /// The longest list that a call may bring now: an original's push is as long as its model, and a
  /// bit more is read to say what is wrong.
  std::int32_t longest_list() const;

  void ping() override;
  void register_model(const std::string& id, std::int32_t length,
                      std::int32_t parallelism) override;
  bool exist_model(const std::string& id) override;
  bool can_pull(const std::string& id, std::int32_t n, std::int32_t worker) override;
  bool can_push(const std::string& id, std::int32_t n, std::int32_t worker) override;
  void pull_model(wire::Model& out, const std::string& id, std::int32_t n,
                  std::int32_t worker) override;
  void push_grad(const wire::Grad& g) override;
  void push_update(const wire::Update& u) override;
  void zip() override {}

  void hello(wire::Welcome& out, const std::string& token) override;
  void register_vector(const wire::Registration& r) override;
  void delete_model(const std::string& id) override;
  void remove(const std::vector<std::string>& keys) override;
  void find(std::vector<wire::KeyEntry>& out, const std::string& prefix,
            const std::string& after) override;
  void clear(const std::string& prefix) override;

  /// The calls that carry vectors and values, without the copies of generated code.
  Entry::Answer push_pull_by_hand(const Part& part, Numbers numbers);
  void put_by_hand(const std::string& key, Buffer value);
  bool create_by_hand(const std::string& key, Buffer value);
  std::shared_ptr<const Buffer> get_by_hand(const std::string& key);

 private:
  /// Never called: the processor takes these by hand.
  void push_pull(wire::Sum&, const wire::Part&) override {}
  void put(const std::string&, const std::string&) override {}
  bool create(const std::string&, const std::string&) override { return false; }
  void get(wire::Value&, const std::string&) override {}

  template <class Call>
  std::invoke_result_t<Call> guarded(wire::Operation::type operation, Call&& call);
  Stats& stats() const { return state_.environment().stats; }
  std::shared_ptr<Entry> model(const std::string& id);
  void declare(const std::string& id, std::uint64_t length, std::uint32_t workers, Rule rule,
               bool zeros);

  Service& service_;
  State& state_;
  bool admitted_ = false;
};

}  // namespace lambdaml::ps
