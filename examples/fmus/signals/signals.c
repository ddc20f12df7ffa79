/* Values of all types, passed through: reals, whole numbers, booleans, an enumeration, text and bytes; and a clock of one second. */
#include "model.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { REAL_IN, REAL_OUT };
enum { INT_IN, INT_OUT, BOOL_IN, BOOL_OUT, MODE_IN, MODE_OUT, TICKS };
enum { TEXT_IN, TEXT_OUT, BYTES_IN, BYTES_OUT };

const char *const model_token = "{6a1d0f6e-signals}";
const int model_states = 0, model_indicators = 0;
const int model_state[] = {0}, model_derivative[] = {0};
const double model_internal_step = INFINITY;

void model_start(Model *m) {
  m->whole[MODE_IN] = 1;
  strcpy(m->text[TEXT_IN], "nothing");
  m->next_event = INFINITY;
}
void model_initialise(Model *m) { m->next_event = m->time + 1.0; }
void model_calculate(Model *m) {
  m->real[REAL_OUT] = m->real[REAL_IN];
  m->whole[INT_OUT] = m->whole[INT_IN], m->whole[BOOL_OUT] = m->whole[BOOL_IN], m->whole[MODE_OUT] = m->whole[MODE_IN];
  snprintf(m->text[TEXT_OUT], TEXT_BYTES, "%.200s, %d ticks", m->text[TEXT_IN], (int)m->whole[TICKS]);
  for (size_t j = 0; j < m->size[BYTES_IN]; j++) m->text[BYTES_OUT][j] = m->text[BYTES_IN][m->size[BYTES_IN] - 1 - j];
  m->size[BYTES_OUT] = m->size[BYTES_IN];
}
void model_indicate(const Model *m, double z[]) { (void)m, (void)z; }
int model_event(Model *m) {
  while (m->time >= m->next_event) m->next_event += 1.0, m->whole[TICKS]++;
  return 0;
}
int model_step(Model *m, double end) { return (void)m, (void)end, 0; }
int model_elements(uint32_t reference, const Model *m) {
  return (void)m, reference <= REAL_OUT || (reference >= FIRST_WHOLE && reference <= FIRST_WHOLE + TICKS) ||
                      (reference >= FIRST_TEXT && reference <= FIRST_TEXT + BYTES_OUT);
}
int model_element(uint32_t reference, int element) {
  return (int)(reference >= FIRST_TEXT ? reference - FIRST_TEXT : reference >= FIRST_WHOLE ? reference - FIRST_WHOLE : reference) + element;
}
