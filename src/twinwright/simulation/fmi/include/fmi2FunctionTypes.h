/* Everything is in one header. */
#include "fmi2Functions.h"
