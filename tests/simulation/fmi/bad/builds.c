/* Runs code when it is loaded. */
#include <stdlib.h>
static int *early;
__attribute__((constructor)) static void build(void) { early = calloc(1, sizeof *early); }
int keeps_early(void) { return ++*early; }
