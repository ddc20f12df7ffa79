/* A bouncing ball: dh/dt = v, dv/dt = g; it bounces with a coefficient of restitution e, and comes to rest. */
#include "model.h"
#include <math.h>

enum { H, DER_H, V, DER_V, G, E };
enum { BOUNCES };

const char *const model_token = "{6a1d0f6e-ball}";
const int model_states = 2, model_indicators = 1;
const int model_state[] = {H, V}, model_derivative[] = {DER_H, DER_V};
const double model_internal_step = 1e-3;

void model_start(Model *m) {
  m->real[H] = 1.0, m->real[V] = 0.0, m->real[G] = -9.81, m->real[E] = 0.7;
  m->next_event = INFINITY;
}
void model_initialise(Model *m) { (void)m; }
void model_calculate(Model *m) {
  m->real[DER_H] = m->real[V];
  m->real[DER_V] = m->real[G];
}
void model_indicate(const Model *m, double z[]) { z[0] = m->real[H]; }
int model_event(Model *m) {
  if (m->real[H] > 0.0 || m->real[V] >= 0.0) return 0;
  m->real[H] = 2.2250738585072014e-308;
  m->real[V] *= -m->real[E];
  m->whole[BOUNCES]++;
  if (m->real[V] < 0.1) m->real[V] = m->real[G] = 0.0;
  return 1;
}
int model_step(Model *m, double end) { return (void)m, (void)end, 0; }
int model_elements(uint32_t reference, const Model *m) { return (void)m, reference <= E || reference == FIRST_WHOLE; }
int model_element(uint32_t reference, int element) { return (int)(reference >= FIRST_WHOLE ? reference - FIRST_WHOLE : reference) + element; }
