#include "lambdaml/ps/client.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "lambdaml/ps/connection.h"

namespace lambdaml::ps {

using namespace ::apache::thrift;

Client::Client(const Address& address, std::shared_ptr<Patience> patience)
    : connection_(std::make_unique<Connection>(
          address, patience ? std::move(patience) : std::make_shared<Patience>())) {}
Client::~Client() = default;
Client::Client(Client&&) noexcept = default;

bool Client::original() const { return connection_->original; }
std::int64_t Client::incarnation() const { return connection_->welcome.incarnation; }
bool Client::durable() const { return connection_->welcome.durable; }
std::uint32_t Client::largest() const {
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(
      connection_->welcome.largest, 0, std::numeric_limits<std::int32_t>::max()));
}

Sum Client::push_pull(const Part& part, const NumbersView& pushed, Numbers& answer) {
  Sum sum;
  // An answer is no longer than requested, unless the length is unknown.
  constexpr std::uint64_t kTotals = 1 << 20;
  const std::uint64_t asked =
      part.pull_only ? largest()
                     : std::max<std::uint64_t>(part.length * sizeof(float), pushed.totals.size());
  const Room room(static_cast<std::uint32_t>(
      std::min<std::uint64_t>(std::max(asked, kTotals), std::numeric_limits<std::int32_t>::max())));
  const auto call = [&] {
    connection_->require_new("push_pull");
    if (pushed.values.size() > largest())
      fail(Code::resource_exhausted, "{}: a vector of {}; the server takes {} (lambdaml ps {})",
           connection_->address.endpoint(), human_bytes(pushed.values.size()),
           human_bytes(largest()), "--message-mb");
    connection_->call(
        "push_pull",
        [&](Protocol& out) {
          out.writeFieldBegin("", protocol::T_STRUCT, 1);
          write(out, part, pushed);
          out.writeFieldStop();
        },
        [&](Protocol& in, std::int16_t type) {
          if (type != protocol::T_STRUCT) return false;
          read(in, room, sum, answer);
          return true;
        },
        long_message(room.largest));
  };
  connection_->guarded("push_pull", call, part.wait_ms / 1e3);
  return sum;
}

namespace {

void write_key_and_value(Protocol& out, const std::string& key, Bytes value) {
  out.writeFieldBegin("", protocol::T_STRING, 1);
  out.writeString(key);
  write_binary_field(out, 2, value);
  out.writeFieldStop();
}

}  // namespace

void Client::put(const std::string& key, Bytes value) {
  connection_->guarded("put", [&] {
    connection_->require_new("put");
    connection_->call(
        "put", [&](Protocol& out) { write_key_and_value(out, key, value); },
        [](Protocol&, std::int16_t) { return false; });
  });
}

bool Client::create(const std::string& key, Bytes value) {
  bool created = false;
  connection_->guarded("create", [&] {
    connection_->require_new("create");
    connection_->call(
        "create", [&](Protocol& out) { write_key_and_value(out, key, value); },
        [&](Protocol& in, std::int16_t type) {
          if (type != protocol::T_BOOL) return false;
          in.readBool(created);
          return true;
        });
  });
  return created;
}

std::optional<Buffer> Client::get(const std::string& key) {
  std::optional<Buffer> value;
  connection_->guarded("get", [&] {
    connection_->require_new("get");
    connection_->call(
        "get",
        [&](Protocol& out) {
          out.writeFieldBegin("", protocol::T_STRING, 1);
          out.writeString(key);
          out.writeFieldStop();
        },
        [&](Protocol& in, std::int16_t type) {
          if (type != protocol::T_STRUCT) return false;
          std::string name;
          while (true) {
            protocol::TType field = protocol::T_STOP;
            std::int16_t id = 0;
            in.readFieldBegin(name, field, id);
            if (field == protocol::T_STOP) return true;
            if (id == 1 && field == protocol::T_STRING)
              value = read_binary(in, largest());
            else
              in.skip(field);
          }
        },
        long_message(largest()));
  });
  return value;
}

void Client::remove(const std::vector<std::string>& keys) {
  connection_->guarded("remove", [&] {
    connection_->require_new("remove");
    connection_->client->remove(keys);
  });
}

std::vector<std::pair<std::string, std::uint64_t>> Client::find(const std::string& prefix) {
  std::vector<std::pair<std::string, std::uint64_t>> out;
  // Lists page by page: each begins after the last name of the one before.
  std::vector<wire::KeyEntry> page;
  do {
    page.clear();
    connection_->guarded("find", [&] {
      connection_->require_new("find");
      connection_->client->find(page, prefix, out.empty() ? "" : out.back().first);
    });
    for (const wire::KeyEntry& entry : page)
      out.emplace_back(entry.key, static_cast<std::uint64_t>(entry.bytes));
  } while (!page.empty());
  return out;
}

void Client::clear(const std::string& prefix) {
  connection_->guarded("clear", [&] {
    connection_->require_new("clear");
    connection_->client->clear(prefix);
  });
}

void Client::delete_model(const std::string& id) {
  connection_->guarded("delete_model", [&] {
    connection_->require_new("delete_model");
    connection_->client->delete_model(id);
  });
}

void Client::register_vector(const Registration& registration) {
  wire::Registration wire;
  wire.id = registration.id;
  wire.length = static_cast<std::int64_t>(registration.length);
  wire.workers = static_cast<std::int32_t>(registration.workers);
  wire.zeros = registration.zeros;
  if (registration.learning_rate) wire.__set_learning_rate(*registration.learning_rate);
  wire.momentum = registration.momentum;
  wire.l2 = registration.l2;
  if (!registration.penalized.empty()) {
    std::vector<std::int64_t> ranges;
    for (const auto& [begin, end] : registration.penalized) {
      ranges.push_back(static_cast<std::int64_t>(begin));
      ranges.push_back(static_cast<std::int64_t>(end));
    }
    wire.__set_penalized(ranges);
  }
  connection_->guarded("register_vector", [&] {
    connection_->require_new("register_vector");
    connection_->client->register_vector(wire);
  });
}

void Client::ping() {
  connection_->guarded("ping", [&] { connection_->client->ping(); });
}

void Client::register_model(const std::string& id, std::size_t length, std::uint32_t workers) {
  connection_->guarded("register_model", [&] {
    connection_->client->register_model(id, static_cast<std::int32_t>(length),
                                        static_cast<std::int32_t>(workers));
  });
}

bool Client::exists(const std::string& id) {
  return connection_->guarded("exist_model", [&] { return connection_->client->exist_model(id); });
}

bool Client::can_pull(const std::string& id, std::uint32_t n, std::uint32_t worker) {
  return connection_->guarded("can_pull", [&] {
    return connection_->client->can_pull(id, static_cast<std::int32_t>(n),
                                         static_cast<std::int32_t>(worker));
  });
}

bool Client::can_push(const std::string& id, std::uint32_t n, std::uint32_t worker) {
  return connection_->guarded("can_push", [&] {
    return connection_->client->can_push(id, static_cast<std::int32_t>(n),
                                         static_cast<std::int32_t>(worker));
  });
}

std::vector<float> Client::pull(const std::string& id, std::uint32_t n, std::uint32_t worker) {
  if (!original()) {
    Part part{.id = id, .kind = Kind::running, .round = n, .worker = worker, .workers = 0};
    part.pull_only = true;
    Numbers answer;
    push_pull(part, {}, answer);
    std::vector<float> values(answer.values.size() / sizeof(float));
    std::memcpy(values.data(), answer.values.data(), values.size() * sizeof(float));
    return values;
  }
  return connection_->guarded("pull_model", [&] { return connection_->pull(id, n, worker); });
}

void Client::push(const std::string& id, double rate, std::span<const float> values,
                  std::uint32_t n, std::uint32_t worker) {
  if (!original()) {
    Part part{.id = id, .kind = Kind::running, .round = n, .worker = worker, .workers = 0};
    part.length = values.size();
    part.scale = rate;
    // The answer's contents are not needed.
    const NumbersView pushed{
        {}, {reinterpret_cast<const std::byte*>(values.data()), values.size_bytes()}, {}, Bytes()};
    Numbers answer;
    push_pull(part, pushed, answer);
    return;
  }
  wire::Grad grad;
  grad.id = id;
  grad.learning_rate = rate;
  grad.__set_length(static_cast<std::int32_t>(values.size()));
  grad.data.assign(values.begin(), values.end());
  grad.n_iter = static_cast<std::int32_t>(n);
  grad.worker_id = static_cast<std::int32_t>(worker);
  connection_->guarded("push_grad", [&] { connection_->client->push_grad(grad); });
}

}  // namespace lambdaml::ps
