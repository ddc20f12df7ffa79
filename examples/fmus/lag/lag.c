/* A first-order lag: T dx/dt = k u - x, y = x. */
#include "model.h"
#include <math.h>

enum { U, X, DER_X, Y, T, K };

const char *const model_token = "{6a1d0f6e-lag}";
const int model_states = 1, model_indicators = 0;
const int model_state[] = {X}, model_derivative[] = {DER_X};
const double model_internal_step = INFINITY; /* one step of Euler's for each that is asked for */

void model_start(Model *m) {
  m->real[U] = 0.0, m->real[X] = 0.0, m->real[T] = 2.0, m->real[K] = 1.0;
  m->next_event = INFINITY;
}
void model_initialise(Model *m) { (void)m; }
void model_calculate(Model *m) {
  m->real[DER_X] = (m->real[K] * m->real[U] - m->real[X]) / m->real[T];
  m->real[Y] = m->real[X];
}
void model_indicate(const Model *m, double z[]) { (void)m, (void)z; }
int model_event(Model *m) { return (void)m, 0; }
int model_step(Model *m, double end) { return (void)m, (void)end, 0; }
int model_elements(uint32_t reference, const Model *m) { return (void)m, reference <= K; }
int model_element(uint32_t reference, int element) { return (int)reference + element; }
