/* A model that fails in the way that its parameter `fault` says, at t = 1 s. */
#include "model.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { Y };
enum { FAULT };
enum { NONE, CRASH, HANG, LEAK, NOT_A_NUMBER, EXIT, ERROR, FATAL, DISCARD, TALK, SPY };

const char *const model_token = "{6a1d0f6e-bad}";
const int model_states = 0, model_indicators = 0;
const int model_state[] = {0}, model_derivative[] = {0};
const double model_internal_step = INFINITY;

void model_start(Model *m) { m->next_event = INFINITY; }
void model_initialise(Model *m) { (void)m; }
void model_calculate(Model *m) { m->real[Y] = m->whole[FAULT] == NOT_A_NUMBER && m->time >= 1.0 ? NAN : m->time; }
void model_indicate(const Model *m, double z[]) { (void)m, (void)z; }
int model_event(Model *m) { return (void)m, 0; }
int model_step(Model *m, double end) {
  if (end < 1.0) return 0;
  switch (m->whole[FAULT]) {
  case CRASH: *(volatile int *)8 = 1; break;
  case HANG: for (;;) usleep(1000);
  case LEAK: for (;;) memset(malloc(1 << 20), 1, 1 << 20);
  case EXIT: exit(3);
  case ERROR: return 3;
  case FATAL: return 4;
  case DISCARD: return 2;
  case TALK: for (int k = 0; k < 3; k++) printf("step %d\n", k); break;
  case SPY: printf("home: %s\n", getenv("HOME") ? getenv("HOME") : "unknown"); break;
  }
  return 0;
}
int model_elements(uint32_t reference, const Model *m) { return (void)m, reference == Y || reference == FIRST_WHOLE; }
int model_element(uint32_t reference, int element) { return (int)(reference >= FIRST_WHOLE ? reference - FIRST_WHOLE : reference) + element; }
