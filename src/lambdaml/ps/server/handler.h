#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include <ParameterServer.h>

#include "lambdaml/ps/server/intake.h"
#include "lambdaml/ps/server/peers.h"
#include "lambdaml/ps/server/service.h"

namespace lambdaml::ps {

/// A Grad or an Update of parameter_server.thrift; an Update has rate 1.
struct OriginalPush {
  bool is_grad = false;
  std::string id;
  double rate = 1;
  std::optional<std::int32_t> length = {};
  Buffer doubles = {};
  std::int32_t round = 0;
  std::int32_t worker = 0;
};

/// One connection's calls, executed on the state; errors become the wire protocol's exceptions. For
/// .cc files of this layer. Used by the connection's thread.
class Handler final : public wire::ParameterServerIf {
 public:
  /// `peer` is told when the client has sent the token; null if there is no connection to watch.
  Handler(Service& service, std::shared_ptr<Peer> peer);
  ~Handler() override;

  Service& service() const { return service_; }

  /// Whether the client has sent the token or none is required.
  bool is_admitted() const { return is_admitted_; }
  /// The answer to a call of a client that is not admitted.
  wire::InvalidOperation refusal_of(wire::Operation::type operation) const;
  /// Reports the memory of the answer, which ending the connection would free.
  void holds(std::uint64_t bytes) const;

  void ping() override;
  void register_model(const std::string& id, std::int32_t length,
                      std::int32_t parallelism) override;
  bool exist_model(const std::string& id) override;
  bool can_pull(const std::string& id, std::int32_t n, std::int32_t worker) override;
  bool can_push(const std::string& id, std::int32_t n, std::int32_t worker) override;
  void zip() override {}

  void hello(wire::Welcome& out, const std::string& token) override;
  void register_vector(const wire::Registration& r) override;
  void delete_model(const std::string& id) override;
  void find(std::vector<wire::KeyEntry>& out, const std::string& prefix,
            const std::string& after) override;
  void clear(const std::string& prefix) override;

  /// The calls that carry vectors, values and long lists, without the copies of generated code.
  /// Each throws exceptions of the wire protocol, also if there was no memory for the request.
  Entry::Answer push_pull_by_hand(const Part& part, Numbers numbers, Intake intake = {});
  void put_by_hand(const std::string& key, Buffer value, Intake intake = {});
  bool create_by_hand(const std::string& key, Buffer value, Intake intake = {});
  std::shared_ptr<const Buffer> get_by_hand(const std::string& key);
  void remove_by_hand(const std::vector<std::string>& keys, Intake intake = {});
  std::shared_ptr<const Result> pull_by_hand(const std::string& id, std::int32_t n,
                                             std::int32_t worker);
  void push_by_hand(OriginalPush push, Intake intake = {});

 private:
  /// Never called: the processor handles these itself.
  void push_pull(wire::Sum&, const wire::Part&) override {}
  void put(const std::string&, const std::string&) override {}
  bool create(const std::string&, const std::string&) override { return false; }
  void get(wire::Value&, const std::string&) override {}
  void remove(const std::vector<std::string>&) override {}
  void pull_model(wire::Model&, const std::string&, std::int32_t, std::int32_t) override {}
  void push_grad(const wire::Grad&) override {}
  void push_update(const wire::Update&) override {}

  template <class Call>
  std::invoke_result_t<Call> guarded(wire::Operation::type operation, Call&& call);
  Stats& stats() const { return state_.environment().stats; }
  std::shared_ptr<Entry> model(const std::string& id);

  /// The model that this connection has registered, pulled or pushed to. Another entry of that id
  /// is another job's.
  struct Used {
    std::weak_ptr<Entry> entry;
    std::shared_ptr<const std::atomic<std::int64_t>> last_turn;
    bool is_registered = false;  ///< by this connection
  };
  void use(const std::shared_ptr<Entry>& entry, bool is_registered);
  /// Null if the connection has used none of that id, or it is `entry`.
  const Used* replaced(const std::shared_ptr<Entry>& entry) const;
  /// The model of a job that this connection takes part in; throws not_found if it was replaced.
  std::shared_ptr<Entry> model_of_job(const std::string& id);

  Service& service_;
  State& state_;
  const std::shared_ptr<Peer> peer_;
  const std::shared_ptr<const Caller> caller_ = std::make_shared<const Caller>();
  std::map<std::string, Used> used_;
  bool is_admitted_;
};

}  // namespace lambdaml::ps
