// Sequences of requests to a parameter server, as several clients send them: all calls, kinds and
// flags, numbers that fit and that do not, between them restarts from what is on the disk.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <ParameterServer.h>
#include <unistd.h>

#include "input.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/ps/message.h"
#include "lambdaml/ps/server/service.h"
#include "lambdaml/ps/transport.h"

namespace {

using namespace lambdaml;
using ::apache::thrift::protocol::TMessageType;
using ::apache::thrift::protocol::TType;
using ::apache::thrift::transport::TMemoryBuffer;
using fuzz::Input;
using fuzz::require;
namespace fs = std::filesystem;
namespace wire = lambdaml::ps::wire;

constexpr std::uint32_t kLargest = 4096;  ///< bytes of a vector
constexpr std::size_t kMostCalls = 200;
constexpr const char* kIds[] = {"a", "job/b", "job/c", "", "d"};

/// Memory that was not written yet, as the address sanitizer fills it. No number that is pushed
/// looks like that: whoever is answered so reads what others left.
constexpr std::uint32_t kFresh = 0xbebebebe;
void require_written(Bytes numbers) {
  for (std::size_t at = 0; at + 4 <= numbers.size(); at += 4) {
    std::uint32_t word = 0;
    std::memcpy(&word, numbers.data() + at, 4);
    require(word != kFresh);
  }
}

/// The sums of rounds as they must be: what each worker pushed first, in worker order.
struct Push {
  std::vector<float> values;
  std::vector<double> totals;
};
struct Round {
  std::map<std::uint32_t, Push> pushes;
  std::uint32_t workers = 0;
  bool is_known = true;
};
using Rounds = std::map<std::pair<std::string, std::uint64_t>, Round>;

template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i)
    if (a[i] != b[i] && !(std::isnan(a[i]) && std::isnan(b[i]))) return false;
  return a.size() == b.size();
}
template <class T>
std::vector<T> numbers_of(Bytes bytes) {
  std::vector<T> out(bytes.size() / sizeof(T));
  if (!out.empty()) std::memcpy(out.data(), bytes.data(), out.size() * sizeof(T));
  return out;
}
template <class T>
void add(std::vector<T>& to, const std::vector<T>& more) {
  require(to.size() == more.size());
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += more[i];
}

/// A server and its clients, without sockets.
class World {
 public:
  explicit World(bool durable) {
    if (durable) folder_ = scratch_.emplace("lambdaml-fuzz-", shared_memory_folder()).path();
    start();
  }
  ~World() { stop(); }

  void call(Input& input) {
    switch (input.below(20)) {
      default:
        return push_pull(input);
      case 8:
        return register_model(input);
      case 9:
        return register_vector(input);
      case 10:
        return original_pull(input);
      case 11:
        return original_push(input);
      case 12:
        return ask(input);
      case 13:
        return remove(input);
      case 14:
        return keys(input);
      case 15:
        return find_keys(input);
      case 16:
        return restart(input);
      case 17:
        return raw(input);
    }
  }

 private:
  /// A processor counts on its way out that its client has gone: what it serves ends after it.
  void stop() {
    processor_.reset();
    service_.reset();
    state_.reset();
  }

  void start() {
    stop();
    state_ = std::make_unique<ps::State>(folder_, ps::State::Limits{1 << 20, 4});
    service_.reset(new ps::Service{*state_, Token(""), 7, false, kLargest});
    processor_ = ps::processors_of(*service_)->getProcessor({});
  }

  /// Writes a request, lets the server answer it, and reads the answer. False when it was refused.
  template <class Write, class Read>
  bool exchange(Write&& write, Read&& read) {
    const auto request = std::make_shared<TMemoryBuffer>();
    const auto reply = std::make_shared<TMemoryBuffer>();
    const auto out = ps::make_protocol(request);
    const auto in = ps::make_protocol(reply);
    wire::ParameterServerClient client(in, out);
    write(client, *out);
    try {
      processor_->process(ps::make_protocol(request), in, nullptr);
      read(client, *in);
      return true;
    } catch (const ::apache::thrift::TException&) {
      return false;
    }
  }
  template <class Write>
  void send(Write&& write) {
    exchange([&](auto& client, ps::Protocol&) { write(client); }, [](auto&, ps::Protocol&) {});
  }

  std::string id(Input& input) { return input.one_of(kIds); }

  void push_pull(Input& input) {
    ps::Part part;
    part.id = id(input);
    part.kind = static_cast<ps::Kind>(1 + input.below(5));
    part.round = input.below(4);
    part.worker = static_cast<std::uint32_t>(input.below(3));
    part.workers = 2;
    const std::uint8_t flags = input.byte();
    part.last = (flags & 7U) == 1;
    part.again = (flags & 7U) == 2;
    part.pull_only = (flags & 7U) == 3;
    if ((flags & 7U) == 4) part.last = part.pull_only = true;
    const bool sparse = (flags & 8U) != 0;
    const bool picks = (flags & 16U) != 0;
    const bool odd = (flags & 32U) != 0;  // fields of any value
    Push push{input.reals<float>(8), input.reals<double>(3)};
    part.length = push.values.size();
    std::vector<std::uint32_t> indices, wanted;
    if (sparse)
      for (std::size_t i = 0; i < push.values.size(); ++i)
        indices.push_back(static_cast<std::uint32_t>(i == 0 ? input.below(4)
                                                            : indices.back() + 1 + input.below(2)));
    if (sparse)
      part.length = indices.empty() ? input.below(9) : indices.back() + 1 + input.below(4);
    if (picks)
      for (std::size_t n = input.below(4); n > 0; --n)
        wanted.push_back(static_cast<std::uint32_t>(input.number()));
    std::string cut;
    if (odd) {
      part.round = input.number();
      part.worker = static_cast<std::uint32_t>(input.number());
      part.workers = static_cast<std::uint32_t>(input.number());
      part.retired = input.number();
      part.length = input.number();
      if (input.flag()) part.staleness = static_cast<std::uint32_t>(input.number());
      if (input.flag()) part.scale = input.real();
      if (input.flag()) part.learning_rate = input.real();
      if (input.flag()) part.generation = input.flag() ? generation_ : input.number();
      for (std::uint32_t& index : indices)
        if (input.flag()) index = static_cast<std::uint32_t>(input.number());
      cut = std::string(input.below(2), 'x');
    }
    std::string totals(as_text(std::as_bytes(std::span(push.totals))));
    std::string values(as_text(std::as_bytes(std::span(push.values))));
    if (!cut.empty()) (input.flag() ? totals : values) += cut;
    ps::NumbersView view{as_bytes(totals), as_bytes(values)};
    if (sparse) view.indices = std::as_bytes(std::span(indices));
    if (picks) view.wanted = std::as_bytes(std::span(wanted));

    ps::Sum sum;
    ps::Numbers numbers;
    why_.clear();
    const bool taken = exchange(
        [&](auto&, ps::Protocol& out) {
          out.writeMessageBegin("push_pull", ::apache::thrift::protocol::T_CALL, 0);
          out.writeFieldBegin("", ::apache::thrift::protocol::T_STRUCT, 1);
          ps::write(out, part, view);
          out.writeFieldStop();
          out.writeMessageEnd();
        },
        [&](auto&, ps::Protocol& in) { read_sum(in, sum, numbers); });
    if (!taken || part.kind == ps::Kind::result) {
      // What was refused for what it says has changed nothing.
      const bool unchanged = !taken && (why_ == "invalid_argument" || why_ == "diverged");
      if (!unchanged) rounds_[{part.id, part.round}].is_known = false;
    }
    if (!taken) return;
    generation_ = sum.generation;
    check(sum, numbers);
    if (part.kind == ps::Kind::round && !part.again)
      check_round(part, dense(push, indices, sparse, part.length), sum, numbers);
  }

  static Push dense(const Push& push, const std::vector<std::uint32_t>& indices, bool sparse,
                    std::uint64_t length) {
    if (!sparse) return push;
    Push out{{}, push.totals};
    require(length <= kLargest);
    out.values.resize(length);
    for (std::size_t i = 0; i < indices.size(); ++i) {
      require(indices[i] < length);
      out.values[indices[i]] = push.values[i];
    }
    return out;
  }

  void read_sum(ps::Protocol& in, ps::Sum& sum, ps::Numbers& numbers) {
    std::string name;
    TMessageType type = ::apache::thrift::protocol::T_CALL;
    std::int32_t sequence = 0;
    in.readMessageBegin(name, type, sequence);
    TType field = ::apache::thrift::protocol::T_STOP;
    std::int16_t number = 0;
    in.readFieldBegin(name, field, number);
    if (number != 0) {
      wire::InvalidOperation refusal;
      refusal.read(&in);
      why_ = refusal.code;
      throw ::apache::thrift::TException("refused");
    }
    ps::read(in, 1 << 20, sum, numbers);
  }

  static void check(const ps::Sum& sum, const ps::Numbers& numbers) {
    require_written(numbers.values);
    require_written(numbers.totals);
    if (!sum.missing.empty() || sum.resend) require(numbers.values.empty());
    if (!numbers.indices) return;
    const auto indices = numbers_of<std::uint32_t>(*numbers.indices);
    require(indices.size() == numbers.values.size() / sizeof(float));
    for (std::size_t i = 0; i < indices.size(); ++i)
      require(indices[i] < sum.length && (i == 0 || indices[i - 1] < indices[i]));
  }

  void check_round(const ps::Part& part, Push push, const ps::Sum& sum,
                   const ps::Numbers& numbers) {
    require(push.values.size() == part.length);
    Round& round = rounds_[{part.id, part.round}];
    if (models_.contains(part.id) || !round.is_known) return;
    if (part.workers != 0) round.workers = part.workers;
    round.pushes.try_emplace(part.worker, std::move(push));
    if (sum.resend || !sum.missing.empty()) return;
    if (round.workers == 0 || round.pushes.size() < round.workers) return;
    Push expected = round.pushes.begin()->second;
    for (auto at = std::next(round.pushes.begin()); at != round.pushes.end(); ++at) {
      add(expected.values, at->second.values);
      add(expected.totals, at->second.totals);
    }
    std::vector<float> values = numbers_of<float>(numbers.values);
    if (numbers.indices) {
      const auto indices = numbers_of<std::uint32_t>(*numbers.indices);
      std::vector<float> all(sum.length);
      for (std::size_t i = 0; i < indices.size(); ++i) all[indices[i]] = values[i];
      values = std::move(all);
    }
    require(sum.length == expected.values.size());
    require(same(values, expected.values));
    require(same(numbers_of<double>(numbers.totals), expected.totals));
  }

  void register_model(Input& input) {
    const std::string id = this->id(input);
    models_.insert(id);
    const auto length = static_cast<std::int32_t>(input.number());
    const auto workers = static_cast<std::int32_t>(input.flag() ? 2 : input.number());
    send([&](auto& client) { client.send_register_model(id, length, workers); });
  }

  void register_vector(Input& input) {
    wire::Registration r;
    r.id = id(input);
    models_.insert(r.id);
    r.length = static_cast<std::int64_t>(input.number());
    r.workers = static_cast<std::int32_t>(input.flag() ? 2 : input.number());
    r.zeros = input.flag();
    if (input.flag()) r.__set_learning_rate(input.real());
    r.momentum = input.real();
    r.l2 = input.real();
    if (input.flag()) {
      std::vector<std::int64_t> ranges(input.below(5));
      for (std::int64_t& at : ranges) at = static_cast<std::int64_t>(input.number());
      r.__set_penalized(ranges);
    }
    send([&](auto& client) { client.send_register_vector(r); });
  }

  void original_pull(Input& input) {
    const std::string id = this->id(input);
    const auto n = static_cast<std::int32_t>(input.number());
    const auto worker = static_cast<std::int32_t>(input.number());
    wire::Model model;
    exchange([&](auto& client, ps::Protocol&) { client.send_pull_model(id, n, worker); },
             [&](auto& client, ps::Protocol&) { client.recv_pull_model(model); });
    for (const double value : model.data) {
      const auto single = static_cast<float>(value);
      require_written(std::as_bytes(std::span(&single, 1)));
    }
  }

  void original_push(Input& input) {
    wire::Grad grad;
    grad.id = id(input);
    grad.learning_rate = input.real();
    grad.data = input.reals<double>(16);
    if (input.flag())
      grad.__set_length(
          static_cast<std::int32_t>(input.flag() ? grad.data.size() : input.number()));
    grad.n_iter = static_cast<std::int32_t>(input.number());
    grad.worker_id = static_cast<std::int32_t>(input.number());
    wire::Update update;
    update.id = grad.id;
    update.data = grad.data;
    update.n_iter = grad.n_iter;
    update.worker_id = grad.worker_id;
    const bool is_grad = input.flag();
    send([&](auto& client) {
      if (is_grad)
        client.send_push_grad(grad);
      else
        client.send_push_update(update);
    });
  }

  void ask(Input& input) {
    const std::string id = this->id(input);
    const auto n = static_cast<std::int32_t>(input.number());
    const auto worker = static_cast<std::int32_t>(input.number());
    switch (input.below(4)) {
      case 0:
        return send([&](auto& client) { client.send_can_pull(id, n, worker); });
      case 1:
        return send([&](auto& client) { client.send_can_push(id, n, worker); });
      case 2:
        return send([&](auto& client) { client.send_exist_model(id); });
      default:
        return send([&](auto& client) { client.send_hello(id); });
    }
  }

  void remove(Input& input) {
    const std::string id = this->id(input);
    const bool all = input.flag();
    send([&](auto& client) {
      if (all)
        client.send_clear(id.substr(0, 3));
      else
        client.send_delete_model(id);
    });
    rounds_.clear();
  }

  void keys(Input& input) {
    const std::string key = id(input), value = input.text();
    switch (input.below(4)) {
      case 0:
        return send([&](auto& client) { client.send_put(key, value); });
      case 1:
        return send([&](auto& client) { client.send_create(key, value); });
      case 2:
        return send([&](auto& client) { client.send_get(key); });
      default:
        return send([&](auto& client) { client.send_remove({key, value.substr(0, 100)}); });
    }
  }

  void find_keys(Input& input) {
    const std::string prefix = id(input), after = id(input);
    std::vector<wire::KeyEntry> found;
    exchange([&](auto& client, ps::Protocol&) { client.send_find(prefix, after); },
             [&](auto& client, ps::Protocol&) { client.recv_find(found); });
    for (const wire::KeyEntry& entry : found)
      require(entry.key.starts_with(prefix) && entry.key > after);
  }

  /// The server ends and another begins with what it saved, whole or damaged; or what nobody uses
  /// expires.
  void restart(Input& input) {
    if (input.flag()) {
      state_->expire(0);
    } else {
      state_->save();
      if (input.flag()) damage(input);
      start();
    }
    rounds_.clear();
    models_.clear();
    for (const char* id : kIds) models_.insert(id);
  }

  void damage(Input& input) {
    std::error_code ignored;
    if (folder_.empty()) return;
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder_, ignored))
      if (entry.is_regular_file(ignored)) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    if (files.empty()) return;
    const fs::path& file = files[input.below(files.size())];
    std::string bytes(read_file(file)->text());
    const std::size_t at = input.length();
    if (input.flag())
      bytes.resize(std::min(bytes.size(), at));
    else if (!bytes.empty())
      bytes[at % bytes.size()] = static_cast<char>(input.byte());
    write_file(file, as_bytes(bytes));
  }

  /// Bytes that may be no request.
  void raw(Input& input) {
    std::string bytes = input.text();
    const auto request = std::make_shared<TMemoryBuffer>(
        reinterpret_cast<std::uint8_t*>(bytes.data()), static_cast<std::uint32_t>(bytes.size()));
    const auto in = ps::make_protocol(request);
    const auto out = ps::make_protocol(std::make_shared<TMemoryBuffer>());
    try {
      processor_->process(in, out, nullptr);
    } catch (const ::apache::thrift::TException&) {
    }
    rounds_.clear();
    for (const char* id : kIds) models_.insert(id);
  }

  std::optional<Scratch> scratch_;
  fs::path folder_;
  std::unique_ptr<ps::State> state_;
  std::unique_ptr<ps::Service> service_;
  std::shared_ptr<::apache::thrift::TProcessor> processor_;
  std::uint64_t generation_ = 0;
  std::string why_;  ///< the code of the last refusal
  Rounds rounds_;
  std::set<std::string> models_;  ///< ids of which no sum is expected
};

}  // namespace

/// No sequence of requests does harm, and none is answered with another sum than that of the round.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::be_quiet();
  [[maybe_unused]] static const bool quiet = (ps::log_what_thrift_says(), true);
  Input input(data, size);
  World world(input.flag());
  for (std::size_t calls = 0; !input.empty() && calls < kMostCalls; ++calls) world.call(input);
  return 0;
}
