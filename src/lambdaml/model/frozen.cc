#include "lambdaml/model/frozen.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"

namespace lambdaml::model {
namespace {

/// "layer1.0.bn1" of "layer1.0.bn1.weight"; "" of "weight".
std::string layer_of(const std::string& name) {
  const std::size_t dot = name.rfind('.');
  return dot == std::string::npos ? "" : name.substr(0, dot);
}

/// The name, and those of the layers that it is in, outermost first.
std::vector<std::string> names_of(const std::string& name) {
  std::vector<std::string> out;
  for (std::size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', dot + 1))
    out.push_back(name.substr(0, dot));
  out.push_back(name);
  return out;
}

bool fits(const std::string& pattern, const std::string& name) {
  const std::vector<std::string> names = names_of(name);
  return std::ranges::any_of(names, [&](const std::string& one) {
    return ::fnmatch(pattern.c_str(), one.c_str(), FNM_NOESCAPE) == 0;
  });
}

std::vector<std::string> all_names(const std::vector<Model::Piece>& pieces) {
  std::vector<std::string> out;
  for (const Model::Piece& piece : pieces)
    for (std::string& name : names_of(piece.name))
      if (std::ranges::find(out, name) == out.end()) out.push_back(std::move(name));
  return out;
}

/// Where a piece lies in a vector of all, and in one without the frozen ones.
struct Part {
  std::size_t of_all = 0;
  std::size_t of_rest = 0;
  std::size_t size = 0;
};

class FrozenEngine final : public Engine {
 public:
  FrozenEngine(std::unique_ptr<Engine> engine, std::vector<Model::Piece> learned,
               std::vector<Model::Piece> statistics, const Frozen& frozen, std::uint64_t seed)
      : engine_(std::move(engine)) {
    std::size_t at = 0;
    std::size_t of_rest = 0;
    const auto place = [&](std::vector<Model::Piece>& pieces, const std::vector<bool>& is_frozen) {
      for (std::size_t i = 0; i < pieces.size(); ++i) {
        const std::size_t size = elements(pieces[i]);
        if (is_frozen[i]) {
          kept_.push_back({std::move(pieces[i]), at});
        } else {
          parts_.push_back({at, of_rest, size});
          of_rest += size;
        }
        at += size;
      }
    };
    place(learned, frozen.learned);
    place(statistics, frozen.statistics);
    all_.resize(at);
    sums_.resize(at);
    engine_->initialize(seed, all_);
  }

  void initialize(std::uint64_t seed, std::span<float> parameters) override {
    std::vector<float> fresh(all_.size());
    engine_->initialize(seed, fresh);
    for (const Part& part : parts_)
      std::copy_n(fresh.data() + part.of_all, part.size, parameters.data() + part.of_rest);
  }

  Totals train(const Pass& pass, std::span<const float> parameters,
               std::span<float> sums) override {
    take(parameters);
    for (const Part& part : parts_) std::fill_n(sums_.data() + part.of_all, part.size, 0.0F);
    const Totals totals = engine_->train(pass, all_, sums_);
    for (const Part& part : parts_)
      for (std::size_t i = 0; i < part.size; ++i) sums[part.of_rest + i] += sums_[part.of_all + i];
    return totals;
  }

  Totals evaluate(const Pass& pass, std::span<const float> parameters) override {
    take(parameters);
    return engine_->evaluate(pass, all_);
  }

  std::vector<float> infer(const Pass& pass, std::span<const float> parameters) override {
    take(parameters);
    return engine_->infer(pass, all_);
  }

  std::vector<tensor::Tensor> further_tensors(std::span<const float>) const override {
    std::vector<tensor::Tensor> out;
    for (const Kept& kept : kept_)
      out.push_back({kept.piece.name, tensor::Dtype::f32, kept.piece.shape,
                     std::as_bytes(std::span(all_).subspan(kept.begin, elements(kept.piece)))});
    return out;
  }

  void restore(const tensor::SafetensorsFile& file) override {
    for (const Kept& kept : kept_) {
      const tensor::Tensor& tensor = file.get(kept.piece.name);
      if (tensor.shape != kept.piece.shape)
        fail(Code::data_corrupt, "{}: the tensor '{}' has the shape [{}] instead of [{}]",
             file.what(), tensor.name, fmt::join(tensor.shape, ", "),
             fmt::join(kept.piece.shape, ", "));
      std::ranges::copy(file.values<float>(tensor.name),
                        all_.begin() + static_cast<std::ptrdiff_t>(kept.begin));
    }
  }

 private:
  struct Kept {
    Model::Piece piece;
    std::size_t begin = 0;  ///< in a vector of all
  };

  void take(std::span<const float> parameters) {
    for (const Part& part : parts_)
      std::copy_n(parameters.data() + part.of_rest, part.size, all_.data() + part.of_all);
  }

  std::unique_ptr<Engine> engine_;
  std::vector<Part> parts_;
  std::vector<Kept> kept_;
  std::vector<float> all_;
  std::vector<float> sums_;
};

}  // namespace

Option freeze_option() {
  return {.name = "freeze",
          .default_value = std::string(),
          .help =
              "layers that stay as they are: names of parameters or layers, separated by "
              "commas, with * and ?; normalizing layers among them use their statistics (deep "
              "models)"};
}

bool Frozen::any() const { return std::ranges::find(learned, true) != learned.end(); }

Frozen frozen_of(const std::string& layers, const std::vector<Model::Piece>& learned,
                 const std::vector<Model::Piece>& statistics, const std::string& what) {
  Frozen out{std::vector<bool>(learned.size()), std::vector<bool>(statistics.size())};
  if (layers.empty()) return out;
  for (const std::string& given : split(layers, ',')) {
    const std::string pattern(trim(given));
    bool is_known = false;
    for (std::size_t i = 0; i < learned.size(); ++i)
      if (fits(pattern, learned[i].name)) is_known = out.learned[i] = true;
    if (!is_known)
      fail(Code::invalid_argument, "freeze: {} has no parameter or layer '{}'{}", what,
           printable(pattern), did_you_mean(pattern, all_names(learned)));
  }
  if (std::ranges::find(out.learned, false) == out.learned.end())
    fail(Code::invalid_argument,
         "freeze '{}': these are all parameters of {}, so that nothing is left to learn",
         printable(layers), what);
  for (std::size_t s = 0; s < statistics.size(); ++s) {
    const std::string layer = layer_of(statistics[s].name);
    std::size_t own = 0;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < learned.size(); ++i) {
      if (layer_of(learned[i].name) != layer) continue;
      ++own;
      kept += out.learned[i] ? 1 : 0;
    }
    out.statistics[s] = own > 0 && kept == own;
  }
  return out;
}

std::vector<Model::Piece> without(const std::vector<Model::Piece>& pieces,
                                  const std::vector<bool>& frozen) {
  std::vector<Model::Piece> out;
  for (std::size_t i = 0; i < pieces.size(); ++i)
    if (!frozen[i]) out.push_back(pieces[i]);
  return out;
}

std::unique_ptr<Engine> keep_frozen(std::unique_ptr<Engine> engine,
                                    std::vector<Model::Piece> learned,
                                    std::vector<Model::Piece> statistics, const Frozen& frozen,
                                    std::uint64_t seed) {
  return std::make_unique<FrozenEngine>(std::move(engine), std::move(learned),
                                        std::move(statistics), frozen, seed);
}

}  // namespace lambdaml::model
