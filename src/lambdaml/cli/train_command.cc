#include "lambdaml/optim/optimizer.h"
