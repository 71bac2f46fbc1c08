#pragma once

#include <functional>
#include <string>
#include <vector>

#include "lambdaml/cost/cost.h"

/// AWS's public Price List files, which need no credentials: for each service an index of regions,
/// `/offers/v1.0/aws/SERVICE/current/region_index.json`, which names one file per region with
/// products and their prices
/// (docs.aws.amazon.com/awsaccountbilling/latest/aboutv2, "Getting price list files manually").
namespace lambdaml::cost {

/// Where AWS serves them.
inline constexpr const char* kPriceFiles = "https://pricing.us-east-1.amazonaws.com";

struct PriceUpdate {
  std::string from = kPriceFiles;  ///< http:// or https://, without a path
  /// Regions to have in the new table; those of the present one are kept up to date too. "all":
  /// every one in which AWS Lambda has a price.
  std::vector<std::string> regions = {};
};

/// A table of prices as text, in the form of prices.yaml.
struct UpdatedPrices {
  std::string yaml;
  Prices prices;
  /// Prices "REGION SERVICE UNIT" that this program finds in no Price List file, or finds there
  /// several times: taken from the present table, where it lacks the region from its us-east-1.
  std::vector<std::string> kept;
  /// Prices that the files do not have, or regions that they do not have: not in the new table.
  std::vector<std::string> gone;
};

/// Receives a line about what is being read; may be empty.
using Say = std::function<void(const std::string&)>;

/// Reads the files and makes a table of today with the entries that `present` and the built-in
/// table have for us-east-1. Costs one request and some MB for each service and region. Bytes of
/// the files are checked: their size (64 MiB each), form, names, and that no price is a hundred
/// times more or less than the present one of us-east-1, where all but caches must be there. Throws
/// invalid_argument (an address, an unknown region), unavailable, not_found and data_corrupt
/// (naming the file).
UpdatedPrices read_price_files(const Prices& present, const PriceUpdate& update,
                               const Say& say = {});

}  // namespace lambdaml::cost
