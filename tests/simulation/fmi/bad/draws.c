/* Draws from the generator of the C library: where it is keeps.c cannot tell. */
#include <stdlib.h>
int keeps_draw(void) { return rand(); }
