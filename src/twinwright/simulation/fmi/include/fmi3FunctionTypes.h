/* Everything is in one header. */
#include "fmi3Functions.h"
