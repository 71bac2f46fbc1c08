#include "lambdaml/tensor/kernels.h"
