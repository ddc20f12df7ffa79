/* n tanks in a row (n is a structural parameter, at most 8): each empties into the next, and each has an inflow of its own. */
#include "model.h"
#include <math.h>

enum { INFLOW = 0, LEVEL = 8, DER_LEVEL = 16, DRAIN = 24, TOTAL = 32, GRID = 33 };
enum { N = FIRST_WHOLE };

const char *const model_token = "{6a1d0f6e-arrays}";
const int model_states = 8, model_indicators = 0;
const int model_state[] = {8, 9, 10, 11, 12, 13, 14, 15}, model_derivative[] = {16, 17, 18, 19, 20, 21, 22, 23};
const double model_internal_step = 0.01;

void model_start(Model *m) {
  m->whole[0] = 3;
  for (int j = 0; j < 8; j++) m->real[LEVEL + j] = 1.0, m->real[DRAIN + j] = 0.5;
  m->next_event = INFINITY;
}
void model_initialise(Model *m) { (void)m; }
void model_calculate(Model *m) {
  double from = 0.0;
  m->real[TOTAL] = 0.0;
  for (int j = 0; j < 8; j++) {
    double out = m->real[DRAIN + j] * m->real[LEVEL + j];
    m->real[DER_LEVEL + j] = j < m->whole[0] ? from + m->real[INFLOW + j] - out : 0.0;
    from = out;
    if (j < m->whole[0]) m->real[TOTAL] += m->real[LEVEL + j];
  }
  for (int j = 0; j < 6; j++) m->real[GRID + j] = m->time + j; /* a matrix of 2 rows and 3 columns */
}
void model_indicate(const Model *m, double z[]) { (void)m, (void)z; }
int model_event(Model *m) { return (void)m, 0; }
int model_step(Model *m, double end) { return (void)m, (void)end, 0; }
int model_elements(uint32_t reference, const Model *m) {
  if (reference == INFLOW || reference == LEVEL || reference == DER_LEVEL || reference == DRAIN) return (int)m->whole[0];
  return reference == GRID ? 6 : reference == TOTAL || reference == N;
}
int model_element(uint32_t reference, int element) { return (int)(reference >= FIRST_WHOLE ? reference - FIRST_WHOLE : reference) + element; }
