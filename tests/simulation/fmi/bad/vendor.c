/* An FMU as tools export them, which does to its process what the bits of its parameter `habits` say. y = t, or what is below its input. */
#define _GNU_SOURCE
#include "fmi2Functions.h"
#include <fenv.h>
#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOVE = 1, TRAP = 2, TALK = 4, THREADS = 8, DISCARD = 16, PENDING = 32, FAIL_TO_END = 64, IMPATIENT = 128 };

typedef struct {
  const fmi2CallbackFunctions *callbacks;
  char resources[512];
  double time, offset, input;
  int habits, mode, waits, iterations;
} Unit;

static void say(Unit *u, fmi2Status status, const char *text) {
  u->callbacks->logger(u->callbacks->componentEnvironment, "vendor", status, "logAll", "%s %d%% of %.1f", text, 50, u->time);
}
static void *talk(void *u) {
  for (int k = 0; k < 20; k++) say(u, fmi2OK, "from a thread:");
  return NULL;
}

/* An empty folder may have any name, and some hand on what they were given with the codes in it. */
static void decode(char *to, const char *uri) {
  if (!strncmp(uri, "file://", 7)) uri += 7;
  for (; *uri; uri++) {
    unsigned code;
    if (*uri == '%' && sscanf(uri + 1, "%2x", &code) == 1) *to++ = (char)code, uri += 2;
    else *to++ = *uri;
  }
  *to = 0;
}

fmi2Component fmi2Instantiate(fmi2String name, fmi2Type type, fmi2String token, fmi2String resources,
                              const fmi2CallbackFunctions *callbacks, fmi2Boolean visible, fmi2Boolean logging) {
  (void)type, (void)visible, (void)logging;
  if (!name || !*name || strcmp(token, "{vendor}")) return NULL;
  Unit *u = callbacks->allocateMemory(1, sizeof *u);
  u->callbacks = callbacks;
  decode(u->resources, resources);
  return u;
}
void fmi2FreeInstance(fmi2Component c) { ((Unit *)c)->callbacks->freeMemory(c); }
fmi2Status fmi2SetupExperiment(fmi2Component c, fmi2Boolean tolerance, fmi2Real relative, fmi2Real start, fmi2Boolean stops, fmi2Real stop) {
  (void)tolerance, (void)relative, (void)stops, (void)stop;
  ((Unit *)c)->time = start;
  return fmi2OK;
}
fmi2Status fmi2EnterInitializationMode(fmi2Component c) {
  Unit *u = c;
  char path[600];
  snprintf(path, sizeof path, "%s/tables/offset 1.txt", u->resources);
  FILE *file = fopen(path, "r");
  if (!file || fscanf(file, "%lf", &u->offset) != 1) return fmi2Error;
  fclose(file);
  if (u->habits & MOVE && (chdir("/") || !setlocale(LC_ALL, ""))) return fmi2Error;
  if (u->habits & MOVE) setlocale(LC_NUMERIC, "de_DE.UTF-8");
  if (u->habits & TRAP) feenableexcept(FE_DIVBYZERO | FE_INVALID | FE_OVERFLOW), fesetround(FE_UPWARD);
  return fmi2OK;
}
fmi2Status fmi2ExitInitializationMode(fmi2Component c) { return (void)c, fmi2OK; }
fmi2Status fmi2Terminate(fmi2Component c) { return ((Unit *)c)->habits & FAIL_TO_END ? fmi2Error : fmi2OK; }
fmi2Status fmi2Reset(fmi2Component c) { return (void)c, fmi2OK; }

fmi2Status fmi2SetReal(fmi2Component c, const fmi2ValueReference r[], size_t n, const fmi2Real v[]) {
  for (size_t k = 0; k < n; k++)
    if (r[k] == 2) ((Unit *)c)->input = v[k];
    else return fmi2Error;
  return fmi2OK;
}
fmi2Status fmi2SetInteger(fmi2Component c, const fmi2ValueReference r[], size_t n, const fmi2Integer v[]) {
  for (size_t k = 0; k < n; k++)
    if (r[k] == 0) ((Unit *)c)->habits = v[k];
    else if (r[k] == 1) ((Unit *)c)->mode = v[k];
  return fmi2OK;
}
fmi2Status fmi2GetReal(fmi2Component c, const fmi2ValueReference r[], size_t n, fmi2Real v[]) {
  Unit *u = c;
  for (size_t k = 0; k < n; k++) v[k] = r[k] == 0 ? u->time : r[k] == 1 ? u->offset : r[k] == 3 ? 1.0 : u->input;
  return fmi2OK;
}
fmi2Status fmi2GetInteger(fmi2Component c, const fmi2ValueReference r[], size_t n, fmi2Integer v[]) {
  for (size_t k = 0; k < n; k++) v[k] = r[k] == 1 ? ((Unit *)c)->mode : ((Unit *)c)->habits;
  return fmi2OK;
}

static fmi2Status step(Unit *u, fmi2Real t, fmi2Real h) {
  if (u->habits & TALK) printf("%.1f\n", t), fflush(stdout), say(u, fmi2Warning, "step");
  if (u->habits & THREADS) {
    pthread_t some[4];
    for (int k = 0; k < 4; k++) pthread_create(&some[k], NULL, talk, u);
    for (int k = 0; k < 4; k++) pthread_join(some[k], NULL);
  }
  if (u->habits & DISCARD && h > 0.2) { /* half the way, and no further at once */
    u->time = t + 0.5 * h;
    return fmi2Discard;
  }
  u->time = t + h;
  if (u->habits & PENDING) {
    u->waits = 3;
    return fmi2Pending;
  }
  return fmi2OK;
}
fmi2Status fmi2DoStep(fmi2Component c, fmi2Real t, fmi2Real h, fmi2Boolean keeps) { return (void)keeps, step(c, t, h); }
fmi2Status fmi2GetStatus(fmi2Component c, const fmi2StatusKind kind, fmi2Status *status) {
  if (kind != fmi2DoStepStatus) return fmi2Discard;
  *status = --((Unit *)c)->waits > 0 ? fmi2Pending : fmi2OK;
  return fmi2OK;
}
fmi2Status fmi2GetRealStatus(fmi2Component c, const fmi2StatusKind kind, fmi2Real *value) {
  if (kind != fmi2LastSuccessfulTime) return fmi2Discard;
  *value = ((Unit *)c)->time;
  return fmi2OK;
}
fmi2Status fmi2GetBooleanStatus(fmi2Component c, const fmi2StatusKind kind, fmi2Boolean *value) {
  (void)c;
  if (kind != fmi2Terminated) return fmi2Discard;
  *value = fmi2False;
  return fmi2OK;
}

/* Model exchange: x' = 1, an event at the very beginning that takes many iterations, and an indicator that stays at zero. */
fmi2Status fmi2EnterEventMode(fmi2Component c) { return (void)c, fmi2OK; }
fmi2Status fmi2NewDiscreteStates(fmi2Component c, fmi2EventInfo *info) {
  Unit *u = c;
  memset(info, 0, sizeof *info);
  info->newDiscreteStatesNeeded = ++u->iterations < (u->habits & IMPATIENT ? 500 : 2);
  info->nextEventTimeDefined = u->habits & IMPATIENT && u->iterations < 600;
  info->nextEventTime = u->time; /* now */
  info->nominalsOfContinuousStatesChanged = fmi2True;
  return fmi2OK;
}
fmi2Status fmi2EnterContinuousTimeMode(fmi2Component c) { return (void)c, fmi2OK; }
fmi2Status fmi2CompletedIntegratorStep(fmi2Component c, fmi2Boolean keeps, fmi2Boolean *event, fmi2Boolean *ends) {
  return (void)c, (void)keeps, *event = *ends = fmi2False, fmi2OK;
}
fmi2Status fmi2SetTime(fmi2Component c, fmi2Real t) { return (void)c, (void)t, fmi2OK; }
fmi2Status fmi2SetContinuousStates(fmi2Component c, const fmi2Real x[], size_t n) {
  return n == 1 ? ((Unit *)c)->time = x[0], fmi2OK : fmi2Error;
}
fmi2Status fmi2GetContinuousStates(fmi2Component c, fmi2Real x[], size_t n) { return n == 1 ? x[0] = ((Unit *)c)->time, fmi2OK : fmi2Error; }
fmi2Status fmi2GetDerivatives(fmi2Component c, fmi2Real dx[], size_t n) { return (void)c, n == 1 ? dx[0] = 1.0, fmi2OK : fmi2Error; }
fmi2Status fmi2GetNominalsOfContinuousStates(fmi2Component c, fmi2Real x[], size_t n) {
  return n == 1 ? x[0] = ((Unit *)c)->iterations % 2 ? 0.0 : -1e-3, fmi2OK : fmi2Error;
}
fmi2Status fmi2GetEventIndicators(fmi2Component c, fmi2Real z[], size_t n) { return (void)c, n == 1 ? z[0] = 0.0, fmi2OK : fmi2Error; }
