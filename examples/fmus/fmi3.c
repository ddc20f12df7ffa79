/* FMI 3.0 over a model (model.h). */
#include "fmi3Functions.h"
#include "stepping.h"
#include <stdlib.h>
#include <string.h>

typedef struct {
  Model model;
  fmi3LogMessageCallback log;
  fmi3InstanceEnvironment environment;
  int exchange, event_mode;
} Instance;

#define DEFINE(name, ...) fmi3Status fmi3##name(fmi3Instance c, ##__VA_ARGS__)

static fmi3Status complain(Instance *c, const char *text) {
  c->log(c->environment, fmi3Error, "logStatusError", text);
  return fmi3Error;
}

const char *fmi3GetVersion(void) { return fmi3Version; }

static Instance *make(fmi3String token, fmi3InstanceEnvironment environment, fmi3LogMessageCallback log, int exchange) {
  if (strcmp(token, model_token)) {
    log(environment, fmi3Error, "logStatusError", "the instantiation token is another one");
    return NULL;
  }
  Instance *c = calloc(1, sizeof *c);
  c->log = log, c->environment = environment, c->exchange = exchange;
  model_start(&c->model);
  return c;
}

fmi3Instance fmi3InstantiateModelExchange(fmi3String name, fmi3String token, fmi3String resources, fmi3Boolean visible, fmi3Boolean logging,
                                          fmi3InstanceEnvironment environment, fmi3LogMessageCallback log) {
  return make(token, environment, log, 1);
}
fmi3Instance fmi3InstantiateCoSimulation(fmi3String name, fmi3String token, fmi3String resources, fmi3Boolean visible, fmi3Boolean logging,
                                         fmi3Boolean events, fmi3Boolean early, const fmi3ValueReference required[], size_t n,
                                         fmi3InstanceEnvironment environment, fmi3LogMessageCallback log,
                                         fmi3IntermediateUpdateCallback update) {
  Instance *c = make(token, environment, log, 0);
  if (c) c->event_mode = events && early;
  return c;
}
fmi3Instance fmi3InstantiateScheduledExecution(fmi3String name, fmi3String token, fmi3String resources, fmi3Boolean visible,
                                               fmi3Boolean logging, fmi3InstanceEnvironment environment, fmi3LogMessageCallback log,
                                               fmi3ClockUpdateCallback update, fmi3LockPreemptionCallback lock,
                                               fmi3UnlockPreemptionCallback unlock) {
  return NULL;
}
void fmi3FreeInstance(fmi3Instance c) { free(c); }
DEFINE(SetDebugLogging, fmi3Boolean on, size_t n, const fmi3String names[]) { return fmi3OK; }
DEFINE(EnterInitializationMode, fmi3Boolean known, fmi3Float64 tolerance, fmi3Float64 start, fmi3Boolean ends, fmi3Float64 stop) {
  ((Instance *)c)->model.time = start;
  return fmi3OK;
}
DEFINE(ExitInitializationMode) {
  Model *m = &((Instance *)c)->model;
  model_initialise(m);
  model_calculate(m);
  model_indicate(m, m->z);
  return fmi3OK;
}
DEFINE(Terminate) { return fmi3OK; }
DEFINE(Reset) {
  memset(&((Instance *)c)->model, 0, sizeof(Model));
  model_start(&((Instance *)c)->model);
  return fmi3OK;
}
DEFINE(EnterConfigurationMode) { return fmi3OK; }
DEFINE(ExitConfigurationMode) { return fmi3OK; }

#define EACH(count) \
  Instance *instance = c; \
  Model *m = &instance->model; \
  size_t at = 0; \
  for (size_t k = 0; k < n; k++) { \
    int size = model_elements(references[k], m); \
    if (!size || at + (size_t)size > count) return complain(instance, "no such variable, or of another size"); \
    for (int j = 0; j < size; j++, at++) { \
      int e = model_element(references[k], j);

#define ACCESS(name, type, store) \
  DEFINE(Get##name, const fmi3ValueReference references[], size_t n, type values[], size_t count) { \
    if (((Instance *)c)->exchange) model_calculate(&((Instance *)c)->model); \
    EACH(count) values[at] = (type)m->store[e]; } } \
    return fmi3OK; \
  } \
  DEFINE(Set##name, const fmi3ValueReference references[], size_t n, const type values[], size_t count) { \
    EACH(count) m->store[e] = values[at]; } } \
    return fmi3OK; \
  }

ACCESS(Float64, fmi3Float64, real)
ACCESS(Float32, fmi3Float32, real)
ACCESS(Int8, fmi3Int8, whole)
ACCESS(UInt8, fmi3UInt8, whole)
ACCESS(Int16, fmi3Int16, whole)
ACCESS(UInt16, fmi3UInt16, whole)
ACCESS(Int32, fmi3Int32, whole)
ACCESS(UInt32, fmi3UInt32, whole)
ACCESS(Int64, fmi3Int64, whole)
ACCESS(UInt64, fmi3UInt64, whole)
ACCESS(Boolean, fmi3Boolean, whole)

DEFINE(GetString, const fmi3ValueReference references[], size_t n, fmi3String values[], size_t count) {
  EACH(count) values[at] = m->text[e]; } }
  return fmi3OK;
}
DEFINE(SetString, const fmi3ValueReference references[], size_t n, const fmi3String values[], size_t count) {
  EACH(count) strncpy(m->text[e], values[at], TEXT_BYTES - 1); } }
  return fmi3OK;
}
DEFINE(GetBinary, const fmi3ValueReference references[], size_t n, size_t sizes[], fmi3Binary values[], size_t count) {
  EACH(count) values[at] = (fmi3Binary)m->text[e]; sizes[at] = m->size[e]; } }
  return fmi3OK;
}
DEFINE(SetBinary, const fmi3ValueReference references[], size_t n, const size_t sizes[], const fmi3Binary values[], size_t count) {
  EACH(count)
  if (sizes[at] > TEXT_BYTES) return complain(instance, "too many bytes");
  memcpy(m->text[e], values[at], m->size[e] = sizes[at]); } }
  return fmi3OK;
}
DEFINE(GetClock, const fmi3ValueReference references[], size_t n, fmi3Clock values[]) { return fmi3Error; }
DEFINE(SetClock, const fmi3ValueReference references[], size_t n, const fmi3Clock values[]) { return fmi3Error; }

/* What these models have not: clocks, derivatives of outputs and of unknowns. */
#define R const fmi3ValueReference references[], size_t n
DEFINE(GetNumberOfVariableDependencies, fmi3ValueReference reference, size_t *n) { return fmi3Error; }
DEFINE(GetVariableDependencies, fmi3ValueReference reference, size_t of[], fmi3ValueReference on[], size_t in[], fmi3DependencyKind kinds[],
       size_t n) { return fmi3Error; }
DEFINE(GetDirectionalDerivative, R, const fmi3ValueReference on[], size_t m, const fmi3Float64 seed[], size_t k, fmi3Float64 out[], size_t j) {
  return fmi3Error;
}
DEFINE(GetAdjointDerivative, R, const fmi3ValueReference on[], size_t m, const fmi3Float64 seed[], size_t k, fmi3Float64 out[], size_t j) {
  return fmi3Error;
}
DEFINE(GetIntervalDecimal, R, fmi3Float64 values[], fmi3IntervalQualifier kinds[]) { return fmi3Error; }
DEFINE(GetIntervalFraction, R, fmi3UInt64 counters[], fmi3UInt64 resolutions[], fmi3IntervalQualifier kinds[]) { return fmi3Error; }
DEFINE(GetShiftDecimal, R, fmi3Float64 values[]) { return fmi3Error; }
DEFINE(GetShiftFraction, R, fmi3UInt64 counters[], fmi3UInt64 resolutions[]) { return fmi3Error; }
DEFINE(SetIntervalDecimal, R, const fmi3Float64 values[]) { return fmi3Error; }
DEFINE(SetIntervalFraction, R, const fmi3UInt64 counters[], const fmi3UInt64 resolutions[]) { return fmi3Error; }
DEFINE(SetShiftDecimal, R, const fmi3Float64 values[]) { return fmi3Error; }
DEFINE(SetShiftFraction, R, const fmi3UInt64 counters[], const fmi3UInt64 resolutions[]) { return fmi3Error; }
DEFINE(GetOutputDerivatives, R, const fmi3Int32 orders[], fmi3Float64 values[], size_t m) { return fmi3Error; }
DEFINE(ActivateModelPartition, fmi3ValueReference clock, fmi3Float64 time) { return fmi3Error; }

DEFINE(GetFMUState, fmi3FMUState *state) {
  if (!*state) *state = malloc(sizeof(Model));
  memcpy(*state, &((Instance *)c)->model, sizeof(Model));
  return fmi3OK;
}
DEFINE(SetFMUState, fmi3FMUState state) {
  memcpy(&((Instance *)c)->model, state, sizeof(Model));
  return fmi3OK;
}
DEFINE(FreeFMUState, fmi3FMUState *state) {
  free(*state);
  *state = NULL;
  return fmi3OK;
}
DEFINE(SerializedFMUStateSize, fmi3FMUState state, size_t *size) {
  *size = sizeof(Model);
  return fmi3OK;
}
DEFINE(SerializeFMUState, fmi3FMUState state, fmi3Byte bytes[], size_t size) {
  memcpy(bytes, state, sizeof(Model));
  return fmi3OK;
}
DEFINE(DeserializeFMUState, const fmi3Byte bytes[], size_t size, fmi3FMUState *state) {
  if (size != sizeof(Model)) return complain(c, "a state has another number of bytes");
  if (!*state) *state = malloc(sizeof(Model));
  memcpy(*state, bytes, size);
  return fmi3OK;
}

/* Co-simulation: where event mode is used, a step ends early at an event, which is handled in event mode. */
DEFINE(EnterStepMode) { return fmi3OK; }
DEFINE(DoStep, fmi3Float64 time, fmi3Float64 step, fmi3Boolean keep, fmi3Boolean *event, fmi3Boolean *end, fmi3Boolean *early,
       fmi3Float64 *reached) {
  Instance *instance = c;
  Model *m = &instance->model;
  *event = *end = *early = false;
  *reached = time + step;
  if (!instance->event_mode) return (fmi3Status)advance(m, time + step);
  double stop = time + step, h = model_internal_step;
  while (m->time < stop) {
    double target = m->time + h < stop - 1e-9 * h ? m->time + h : stop;
    model_calculate(m);
    for (int j = 0; j < model_states; j++) m->real[model_state[j]] += (target - m->time) * m->real[model_derivative[j]];
    m->time = target;
    if (changed_sign(m) || m->time >= m->next_event) {
      *event = true, *early = m->time < stop, *reached = m->time;
      return fmi3OK;
    }
  }
  model_calculate(m);
  return fmi3OK;
}

DEFINE(EnterEventMode) { return fmi3OK; }
DEFINE(EvaluateDiscreteStates) { return fmi3OK; }
DEFINE(UpdateDiscreteStates, fmi3Boolean *needed, fmi3Boolean *end, fmi3Boolean *nominals, fmi3Boolean *values, fmi3Boolean *defined,
       fmi3Float64 *next) {
  Model *m = &((Instance *)c)->model;
  *needed = *end = *nominals = false;
  *values = model_event(m);
  model_indicate(m, m->z);
  *defined = isfinite(m->next_event);
  *next = m->next_event;
  return fmi3OK;
}

/* Model exchange. */
DEFINE(EnterContinuousTimeMode) { return fmi3OK; }
DEFINE(CompletedIntegratorStep, fmi3Boolean keep, fmi3Boolean *event, fmi3Boolean *end) {
  *event = *end = false;
  return fmi3OK;
}
DEFINE(SetTime, fmi3Float64 time) {
  ((Instance *)c)->model.time = time;
  return fmi3OK;
}
DEFINE(SetContinuousStates, const fmi3Float64 x[], size_t n) {
  for (size_t j = 0; j < n; j++) ((Instance *)c)->model.real[model_state[j]] = x[j];
  return fmi3OK;
}
DEFINE(GetContinuousStateDerivatives, fmi3Float64 dx[], size_t n) {
  model_calculate(&((Instance *)c)->model);
  for (size_t j = 0; j < n; j++) dx[j] = ((Instance *)c)->model.real[model_derivative[j]];
  return fmi3OK;
}
DEFINE(GetEventIndicators, fmi3Float64 z[], size_t n) {
  model_indicate(&((Instance *)c)->model, z);
  return fmi3OK;
}
DEFINE(GetContinuousStates, fmi3Float64 x[], size_t n) {
  for (size_t j = 0; j < n; j++) x[j] = ((Instance *)c)->model.real[model_state[j]];
  return fmi3OK;
}
DEFINE(GetNominalsOfContinuousStates, fmi3Float64 x[], size_t n) {
  for (size_t j = 0; j < n; j++) x[j] = 1.0;
  return fmi3OK;
}
DEFINE(GetNumberOfEventIndicators, size_t *n) {
  *n = (size_t)model_indicators;
  return fmi3OK;
}
DEFINE(GetNumberOfContinuousStates, size_t *n) {
  *n = (size_t)model_states;
  return fmi3OK;
}
