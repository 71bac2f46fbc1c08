#pragma once

#include "lambdaml/data/images/decode.h"

namespace lambdaml::data::images {

/// How a picture of other proportions fits.
enum class Fit {
  crop,  ///< its middle fills the image
  pad,   ///< all of it, in the middle of black
};

/// The picture at another size: scaled in proportion by a triangle filter as wide as a pixel of the
/// smaller of both, so that shrinking averages and enlarging interpolates; the same bytes on every
/// machine. Unchanged if it has that size.
Picture resized(Picture picture, std::size_t width, std::size_t height, Fit fit);

}  // namespace lambdaml::data::images
