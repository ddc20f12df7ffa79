/* FMI 2.0 over a model (model.h). */
#include "fmi2Functions.h"
#include "stepping.h"
#include <stdlib.h>
#include <string.h>

typedef struct {
  Model model;
  const fmi2CallbackFunctions *callbacks;
  char name[128];
  int exchange;
} Instance;

static fmi2Status complain(Instance *c, const char *text, int value) {
  c->callbacks->logger(c->callbacks->componentEnvironment, c->name, fmi2Error, "logStatusError", text, value);
  return fmi2Error;
}

const char *fmi2GetVersion(void) { return fmi2Version; }
const char *fmi2GetTypesPlatform(void) { return fmi2TypesPlatform; }
fmi2Status fmi2SetDebugLogging(fmi2Component c, fmi2Boolean on, size_t n, const fmi2String names[]) { return fmi2OK; }

fmi2Component fmi2Instantiate(fmi2String name, fmi2Type type, fmi2String token, fmi2String resources, const fmi2CallbackFunctions *callbacks,
                              fmi2Boolean visible, fmi2Boolean logging) {
  if (strcmp(token, model_token)) {
    callbacks->logger(callbacks->componentEnvironment, name, fmi2Error, "logStatusError", "the GUID is %s, not %s", token, model_token);
    return NULL;
  }
  Instance *c = calloc(1, sizeof *c);
  c->callbacks = callbacks;
  c->exchange = type == fmi2ModelExchange;
  strncpy(c->name, name, sizeof c->name - 1);
  model_start(&c->model);
  if (logging) callbacks->logger(callbacks->componentEnvironment, name, fmi2OK, "logAll", "resources are in %s", resources);
  return c;
}

void fmi2FreeInstance(fmi2Component c) { free(c); }
fmi2Status fmi2SetupExperiment(fmi2Component c, fmi2Boolean known, fmi2Real tolerance, fmi2Real start, fmi2Boolean ends, fmi2Real stop) {
  ((Instance *)c)->model.time = start;
  return fmi2OK;
}
fmi2Status fmi2EnterInitializationMode(fmi2Component c) { return fmi2OK; }
fmi2Status fmi2ExitInitializationMode(fmi2Component c) {
  Model *m = &((Instance *)c)->model;
  model_initialise(m);
  model_calculate(m);
  model_indicate(m, m->z);
  return fmi2OK;
}
fmi2Status fmi2Terminate(fmi2Component c) { return fmi2OK; }
fmi2Status fmi2Reset(fmi2Component c) {
  memset(&((Instance *)c)->model, 0, sizeof(Model));
  model_start(&((Instance *)c)->model);
  return fmi2OK;
}

#define EACH(first, limit) \
  Instance *instance = c; \
  Model *m = &instance->model; \
  for (size_t k = 0; k < n; k++) { \
    if (references[k] >= limit || !model_elements(references[k] + first, m)) return complain(instance, "no variable %d", (int)references[k]);

fmi2Status fmi2GetReal(fmi2Component c, const fmi2ValueReference references[], size_t n, fmi2Real values[]) {
  if (((Instance *)c)->exchange) model_calculate(&((Instance *)c)->model);
  EACH(0, REALS) values[k] = m->real[references[k]]; }
  return fmi2OK;
}
fmi2Status fmi2SetReal(fmi2Component c, const fmi2ValueReference references[], size_t n, const fmi2Real values[]) {
  EACH(0, REALS) m->real[references[k]] = values[k]; }
  return fmi2OK;
}
fmi2Status fmi2GetInteger(fmi2Component c, const fmi2ValueReference references[], size_t n, fmi2Integer values[]) {
  EACH(FIRST_WHOLE, WHOLES) values[k] = (fmi2Integer)m->whole[references[k]]; }
  return fmi2OK;
}
fmi2Status fmi2SetInteger(fmi2Component c, const fmi2ValueReference references[], size_t n, const fmi2Integer values[]) {
  EACH(FIRST_WHOLE, WHOLES) m->whole[references[k]] = values[k]; }
  return fmi2OK;
}
fmi2Status fmi2GetBoolean(fmi2Component c, const fmi2ValueReference references[], size_t n, fmi2Boolean values[]) {
  return fmi2GetInteger(c, references, n, values);
}
fmi2Status fmi2SetBoolean(fmi2Component c, const fmi2ValueReference references[], size_t n, const fmi2Boolean values[]) {
  return fmi2SetInteger(c, references, n, values);
}
fmi2Status fmi2GetString(fmi2Component c, const fmi2ValueReference references[], size_t n, fmi2String values[]) {
  EACH(FIRST_TEXT, TEXTS) values[k] = m->text[references[k]]; }
  return fmi2OK;
}
fmi2Status fmi2SetString(fmi2Component c, const fmi2ValueReference references[], size_t n, const fmi2String values[]) {
  EACH(FIRST_TEXT, TEXTS) strncpy(m->text[references[k]], values[k], TEXT_BYTES - 1); }
  return fmi2OK;
}

fmi2Status fmi2GetFMUstate(fmi2Component c, fmi2FMUstate *state) {
  if (!*state) *state = malloc(sizeof(Model));
  memcpy(*state, &((Instance *)c)->model, sizeof(Model));
  return fmi2OK;
}
fmi2Status fmi2SetFMUstate(fmi2Component c, fmi2FMUstate state) {
  memcpy(&((Instance *)c)->model, state, sizeof(Model));
  return fmi2OK;
}
fmi2Status fmi2FreeFMUstate(fmi2Component c, fmi2FMUstate *state) {
  free(*state);
  *state = NULL;
  return fmi2OK;
}
fmi2Status fmi2SerializedFMUstateSize(fmi2Component c, fmi2FMUstate state, size_t *size) {
  *size = sizeof(Model);
  return fmi2OK;
}
fmi2Status fmi2SerializeFMUstate(fmi2Component c, fmi2FMUstate state, fmi2Byte bytes[], size_t size) {
  memcpy(bytes, state, sizeof(Model));
  return fmi2OK;
}
fmi2Status fmi2DeSerializeFMUstate(fmi2Component c, const fmi2Byte bytes[], size_t size, fmi2FMUstate *state) {
  if (size != sizeof(Model)) return complain(c, "a state has %d bytes", (int)sizeof(Model));
  if (!*state) *state = malloc(sizeof(Model));
  memcpy(*state, bytes, size);
  return fmi2OK;
}
fmi2Status fmi2GetDirectionalDerivative(fmi2Component c, const fmi2ValueReference u[], size_t nu, const fmi2ValueReference k[], size_t nk,
                                        const fmi2Real dk[], fmi2Real du[]) {
  return fmi2Error;
}

/* Co-simulation. */
fmi2Status fmi2DoStep(fmi2Component c, fmi2Real time, fmi2Real step, fmi2Boolean keep) {
  return (fmi2Status)advance(&((Instance *)c)->model, time + step);
}
fmi2Status fmi2CancelStep(fmi2Component c) { return fmi2Error; }
fmi2Status fmi2SetRealInputDerivatives(fmi2Component c, const fmi2ValueReference r[], size_t n, const fmi2Integer order[], const fmi2Real v[]) {
  return fmi2Error;
}
fmi2Status fmi2GetRealOutputDerivatives(fmi2Component c, const fmi2ValueReference r[], size_t n, const fmi2Integer order[], fmi2Real v[]) {
  return fmi2Error;
}
fmi2Status fmi2GetStatus(fmi2Component c, const fmi2StatusKind kind, fmi2Status *value) { return fmi2Discard; }
fmi2Status fmi2GetRealStatus(fmi2Component c, const fmi2StatusKind kind, fmi2Real *value) {
  *value = ((Instance *)c)->model.time;
  return fmi2OK;
}
fmi2Status fmi2GetIntegerStatus(fmi2Component c, const fmi2StatusKind kind, fmi2Integer *value) { return fmi2Discard; }
fmi2Status fmi2GetBooleanStatus(fmi2Component c, const fmi2StatusKind kind, fmi2Boolean *value) {
  *value = 0;
  return fmi2OK;
}
fmi2Status fmi2GetStringStatus(fmi2Component c, const fmi2StatusKind kind, fmi2String *value) { return fmi2Discard; }

/* Model exchange. */
fmi2Status fmi2EnterEventMode(fmi2Component c) { return fmi2OK; }
fmi2Status fmi2NewDiscreteStates(fmi2Component c, fmi2EventInfo *info) {
  Model *m = &((Instance *)c)->model;
  info->newDiscreteStatesNeeded = info->terminateSimulation = info->nominalsOfContinuousStatesChanged = 0;
  info->valuesOfContinuousStatesChanged = model_event(m);
  info->nextEventTimeDefined = isfinite(m->next_event) != 0;
  info->nextEventTime = m->next_event;
  return fmi2OK;
}
fmi2Status fmi2EnterContinuousTimeMode(fmi2Component c) { return fmi2OK; }
fmi2Status fmi2CompletedIntegratorStep(fmi2Component c, fmi2Boolean keep, fmi2Boolean *event, fmi2Boolean *end) {
  *event = *end = 0;
  return fmi2OK;
}
fmi2Status fmi2SetTime(fmi2Component c, fmi2Real time) {
  ((Instance *)c)->model.time = time;
  return fmi2OK;
}
fmi2Status fmi2SetContinuousStates(fmi2Component c, const fmi2Real x[], size_t n) {
  for (size_t j = 0; j < n; j++) ((Instance *)c)->model.real[model_state[j]] = x[j];
  return fmi2OK;
}
fmi2Status fmi2GetDerivatives(fmi2Component c, fmi2Real dx[], size_t n) {
  model_calculate(&((Instance *)c)->model);
  for (size_t j = 0; j < n; j++) dx[j] = ((Instance *)c)->model.real[model_derivative[j]];
  return fmi2OK;
}
fmi2Status fmi2GetEventIndicators(fmi2Component c, fmi2Real z[], size_t n) {
  model_indicate(&((Instance *)c)->model, z);
  return fmi2OK;
}
fmi2Status fmi2GetContinuousStates(fmi2Component c, fmi2Real x[], size_t n) {
  for (size_t j = 0; j < n; j++) x[j] = ((Instance *)c)->model.real[model_state[j]];
  return fmi2OK;
}
fmi2Status fmi2GetNominalsOfContinuousStates(fmi2Component c, fmi2Real x[], size_t n) {
  for (size_t j = 0; j < n; j++) x[j] = 1.0;
  return fmi2OK;
}
