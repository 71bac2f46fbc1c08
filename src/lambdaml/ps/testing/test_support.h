#pragma once

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/base/rng.h"
#include "lambdaml/ps/client.h"
#include "lambdaml/ps/server.h"

/// Helpers for the tests of the parameter server.
namespace lambdaml::ps {

/// A folder that the destructor removes.
struct Folder : Scratch {
  Folder() : Scratch("lambdaml-ps-") {}
};

inline ServerSettings on_a_free_port() { return {.port = 0, .interval_s = 3600}; }

inline Address address_of(const Server& server) {
  Address address;
  address.host = "127.0.0.1";
  address.port = server.port();
  return address;
}

/// Floats of many magnitudes, so that a sum in another order has different bits.
inline std::vector<float> numbers(std::uint64_t round, std::uint32_t worker, std::size_t n) {
  Rng rng(mix({round, worker, n}));
  std::vector<float> out(n);
  for (float& x : out)
    x = static_cast<float>(rng.uniform(-1, 1) * static_cast<double>(1ULL << rng.below(20)));
  return out;
}

inline std::vector<float> sum_of(std::uint64_t round, std::uint32_t workers, std::size_t n) {
  std::vector<float> sum = numbers(round, 0, n);
  for (std::uint32_t w = 1; w < workers; ++w) {
    const std::vector<float> next = numbers(round, w, n);
    for (std::size_t i = 0; i < n; ++i) sum[i] += next[i];
  }
  return sum;
}

/// One push of a worker and its answer; a dense answer is in `values`.
struct Exchange {
  Sum sum;
  std::vector<float> values;
  std::vector<double> totals;
};
inline Exchange exchange(Client& client, Part part, const std::vector<float>& values,
                         const std::vector<double>& totals = {}, bool sparse = false) {
  part.length = values.size();
  NumbersView pushed{std::as_bytes(std::span(totals)), std::as_bytes(std::span(values))};
  std::optional<Sparse> short_form;
  if (sparse) short_form = as_sparse(values);
  if (short_form) {
    pushed.indices = std::as_bytes(std::span(short_form->indices));
    pushed.values = std::as_bytes(std::span(short_form->values));
  }
  if (part.pull_only || part.again) pushed = {};
  Numbers answer;
  Exchange out{client.push_pull(part, pushed, answer), {}, {}};
  out.totals.resize(answer.totals.size() / sizeof(double));
  if (!out.totals.empty())
    std::memcpy(out.totals.data(), answer.totals.data(), answer.totals.size());
  std::vector<float> got(answer.values.size() / sizeof(float));
  if (!got.empty()) std::memcpy(got.data(), answer.values.data(), answer.values.size());
  out.values = std::move(got);
  if (answer.indices) {
    std::vector<float> dense(out.sum.length);
    const auto* at = reinterpret_cast<const std::uint32_t*>(answer.indices->data());
    for (std::size_t i = 0; i < out.values.size(); ++i) dense.at(at[i]) = out.values[i];
    out.values = std::move(dense);
  }
  return out;
}

/// Runs body(i) on one thread each; rethrows the first error.
template <class Body>
void on_threads(std::uint32_t n, Body body) {
  std::vector<std::string> errors(n);
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < n; ++i)
    threads.emplace_back([&, i] {
      try {
        body(i);
      } catch (const std::exception& error) {
        errors[i] = error.what();
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::string& error : errors)
    if (!error.empty()) fail(Code::internal, "{}", error);
}

template <class Call>
Code code_thrown_by(Call call, std::string* why = nullptr) {
  try {
    call();
  } catch (const Error& error) {
    if (why != nullptr) *why = error.what();
    return error.code();
  }
  fail(Code::internal, "nothing was thrown");
}

}  // namespace lambdaml::ps
