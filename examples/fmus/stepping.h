/* Co-simulation of a model: forward Euler in equal steps, events at the ends of steps. Included by fmi2.c and fmi3.c. */
#include "model.h"
#include <math.h>

static int changed_sign(Model *m) {
  double z[8];
  int changed = 0;
  model_indicate(m, z);
  for (int j = 0; j < model_indicators; j++) changed |= (z[j] > 0.0) != (m->z[j] > 0.0);
  for (int j = 0; j < model_indicators; j++) m->z[j] = z[j];
  return changed;
}

static int advance(Model *m, double end) {
  double begin = m->time, span = end - begin;
  long steps = (long)ceil(span / model_internal_step - 1e-9);
  if (steps < 1) steps = 1;
  double h = span / (double)steps;
  int failed = model_step(m, end);
  if (failed) return failed;
  for (long s = 1; s <= steps; s++) {
    model_calculate(m);
    for (int j = 0; j < model_states; j++) m->real[model_state[j]] += h * m->real[model_derivative[j]];
    m->time = s == steps ? end : begin + h * (double)s;
    if (changed_sign(m) || m->time >= m->next_event) {
      model_event(m);
      model_indicate(m, m->z);
    }
  }
  model_calculate(m);
  return 0;
}
