/* An FMU of 3.0 that holds who runs it to the modes (FMI 3.0, 2.3 to 4.2): what is not allowed in one is an error.
 *
 * dx/dt = gain (u + jump - x); with root set -sqrt(x), which has no value below zero, and in equal steps. `seen` and `read` are what an event has last seen
 * of `jump` and `text`. */
#include "fmi3Functions.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { START = 1, INITIALISE = 2, EVENT = 4, CONTINUOUS = 8, STEP = 16, ENDED = 32 };
enum { X = 1, DX, U, JUMP, GAIN, ROOT, SEEN, TEXT, READ };

typedef struct {
  fmi3LogMessageCallback log;
  fmi3InstanceEnvironment environment;
  int exchange, events, mode;
  double step, real[SEEN + 1];
  char text[32], read[32];
} Unit;

#define DEFINE(name, ...) fmi3Status fmi3##name(fmi3Instance c, ##__VA_ARGS__)
#define NEED(modes) \
  Unit *m = c; \
  if (!in(m, modes, __func__)) return fmi3Error;
#define GO(to) m->mode = to; return fmi3OK

static int in(Unit *m, int modes, const char *what) {
  char said[100];
  if (m->mode & modes) return 1;
  snprintf(said, sizeof said, "%s in mode %d", what, m->mode);
  m->log(m->environment, fmi3Error, "logStatusError", said);
  return 0;
}
static int settable(const Unit *m, fmi3ValueReference r) {
  if (r == X || r == ROOT) return START | INITIALISE;
  if (r == U) return START | INITIALISE | EVENT | CONTINUOUS | STEP;
  return START | INITIALISE | EVENT | (m->exchange || m->events ? 0 : STEP);
}
static void look(Unit *m) { m->real[SEEN] = m->real[JUMP], strcpy(m->read, m->text); }
static double slope(const Unit *m) {
  const double *r = m->real;
  return r[ROOT] ? (r[X] > 1e-12 ? -sqrt(r[X]) : 0.0) : r[GAIN] * (r[U] + r[JUMP] - r[X]);
}

static Unit *make(fmi3InstanceEnvironment environment, fmi3LogMessageCallback log, int exchange, int events) {
  Unit *m = calloc(1, sizeof *m);
  m->log = log, m->environment = environment, m->exchange = exchange, m->events = events, m->mode = START;
  m->real[X] = m->real[GAIN] = 1.0;
  strcpy(m->text, "a");
  return m;
}
fmi3Instance fmi3InstantiateModelExchange(fmi3String name, fmi3String token, fmi3String resources, fmi3Boolean visible, fmi3Boolean logging,
                                          fmi3InstanceEnvironment environment, fmi3LogMessageCallback log) {
  return make(environment, log, 1, 0);
}
fmi3Instance fmi3InstantiateCoSimulation(fmi3String name, fmi3String token, fmi3String resources, fmi3Boolean visible, fmi3Boolean logging,
                                         fmi3Boolean events, fmi3Boolean early, const fmi3ValueReference required[], size_t n,
                                         fmi3InstanceEnvironment environment, fmi3LogMessageCallback log,
                                         fmi3IntermediateUpdateCallback update) {
  return make(environment, log, 0, events);
}
void fmi3FreeInstance(fmi3Instance c) { free(c); }
DEFINE(EnterInitializationMode, fmi3Boolean known, fmi3Float64 tolerance, fmi3Float64 start, fmi3Boolean ends, fmi3Float64 stop) {
  NEED(START) GO(INITIALISE);
}
DEFINE(ExitInitializationMode) { NEED(INITIALISE) look(m); GO(m->exchange || m->events ? EVENT : STEP); }
DEFINE(EnterEventMode) { NEED(m->exchange ? CONTINUOUS : m->events ? STEP : 0) GO(EVENT); }
DEFINE(EnterContinuousTimeMode) { NEED(m->exchange ? EVENT : 0) GO(CONTINUOUS); }
DEFINE(EnterStepMode) { NEED(m->events ? EVENT : 0) GO(STEP); }
DEFINE(Terminate) { NEED(EVENT | CONTINUOUS | STEP) GO(ENDED); }
DEFINE(Reset) {
  Unit *m = c, *made = make(m->environment, m->log, m->exchange, m->events);
  *m = *made;
  free(made);
  return fmi3OK;
}

#define ANY (INITIALISE | EVENT | CONTINUOUS | STEP | ENDED)
#define REFERENCES const fmi3ValueReference r[], size_t n
DEFINE(GetFloat64, REFERENCES, fmi3Float64 values[], size_t count) {
  NEED(ANY)
  m->real[DX] = slope(m);
  for (size_t k = 0; k < n; k++) values[k] = m->real[r[k]];
  return fmi3OK;
}
DEFINE(SetFloat64, REFERENCES, const fmi3Float64 values[], size_t count) {
  for (size_t k = 0; k < n; k++) {
    NEED(settable(c, r[k]))
    m->real[r[k]] = values[k];
  }
  return fmi3OK;
}
DEFINE(GetString, REFERENCES, fmi3String values[], size_t count) {
  NEED(ANY)
  for (size_t k = 0; k < n; k++) values[k] = r[k] == READ ? m->read : m->text;
  return fmi3OK;
}
DEFINE(SetString, REFERENCES, const fmi3String values[], size_t count) {
  NEED(settable(c, TEXT))
  for (size_t k = 0; k < n; k++) strncpy(m->text, values[k], sizeof m->text - 1);
  return fmi3OK;
}

DEFINE(DoStep, fmi3Float64 time, fmi3Float64 step, fmi3Boolean keeps, fmi3Boolean *event, fmi3Boolean *ends, fmi3Boolean *early,
       fmi3Float64 *reached) {
  NEED(STEP)
  if (m->real[ROOT] && m->step && m->step != step) return fmi3Error;
  m->step = step;
  for (int k = 0; k < 100; k++) m->real[X] += 0.01 * step * slope(m);
  if (!m->events) look(m);
  *event = *ends = *early = fmi3False, *reached = time + step;
  return fmi3OK;
}
DEFINE(UpdateDiscreteStates, fmi3Boolean *more, fmi3Boolean *ends, fmi3Boolean *nominals, fmi3Boolean *states, fmi3Boolean *defined,
       fmi3Float64 *next) {
  NEED(EVENT)
  look(m);
  return *more = *ends = *nominals = *states = *defined = fmi3False, fmi3OK;
}
DEFINE(CompletedIntegratorStep, fmi3Boolean keeps, fmi3Boolean *event, fmi3Boolean *ends) {
  NEED(CONTINUOUS) return *event = *ends = fmi3False, fmi3OK;
}
DEFINE(SetTime, fmi3Float64 time) { NEED(EVENT | CONTINUOUS) return fmi3OK; }
DEFINE(SetContinuousStates, const fmi3Float64 x[], size_t n) { NEED(CONTINUOUS) return m->real[X] = x[0], fmi3OK; }
DEFINE(GetContinuousStates, fmi3Float64 x[], size_t n) { NEED(ANY) return x[0] = m->real[X], fmi3OK; }
DEFINE(GetNominalsOfContinuousStates, fmi3Float64 x[], size_t n) { NEED(ANY) return x[0] = 1.0, fmi3OK; }
DEFINE(GetEventIndicators, fmi3Float64 z[], size_t n) { NEED(ANY) return fmi3OK; }
DEFINE(GetContinuousStateDerivatives, fmi3Float64 dx[], size_t n) {
  NEED(ANY)
  if (m->real[ROOT] && m->real[X] < 0.0) return fmi3Discard;
  return dx[0] = slope(m), fmi3OK;
}
