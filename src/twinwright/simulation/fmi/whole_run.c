/* A whole run in one call, from instantiation to termination: the calls of session.py, in their order, for runs that follow each other in
 * one process and differ in numbers alone. Whatever goes wrong ends it, and who asked runs the same again by session.py, which can say
 * what it was. */
#include "engine.h"
#include <math.h>
#include <string.h>

/* A variable that is set before initialisation; `function` sets its type. */
typedef struct {
  uint32_t reference, pad;
  uint64_t n_values;
  const void *values;
  void *function;
} Start;

enum { INSTANTIATE, SETUP_EXPERIMENT, ENTER_INITIALIZATION, EXIT_INITIALIZATION, TERMINATE, FREE_INSTANCE };

typedef struct {
  int32_t exchange, logging, tolerance_known, fatal;
  double tolerance, start;
  const char *name, *token, *resources;
  void *functions[6];
  uint64_t n_starts;
  const Start *starts;
} WholeRun;

typedef void *(*Instantiate2)(const char *, int, const char *, const char *, const void *, int, int);
typedef void *(*InstantiateExchange3)(const char *, const char *, const char *, uint8_t, uint8_t, void *, void *);
typedef void *(*InstantiateCoSimulation3)(const char *, const char *, const char *, uint8_t, uint8_t, uint8_t, uint8_t, const uint32_t *,
                                          size_t, void *, void *, void *);

static void *instantiated(const WholeRun *w, const Engine *e) {
  void *make = w->functions[INSTANTIATE];
  uint8_t log = (uint8_t)w->logging, events = (uint8_t)e->event_mode;
  if (e->version == 2) return ((Instantiate2)make)(w->name, !w->exchange, w->token, w->resources, tw_callbacks2(), 0, w->logging);
  if (w->exchange) return ((InstantiateExchange3)make)(w->name, w->token, w->resources, 0, log, NULL, tw_log3());
  return ((InstantiateCoSimulation3)make)(w->name, w->token, w->resources, 0, log, events, events, NULL, 0, NULL, tw_log3(), NULL);
}

static void wiped(Engine *e) {
  e->h = 0.0, e->next_event = INFINITY;
  memset(e->x, 0, sizeof(double) * (size_t)e->nx);
  memset(e->z, 0, sizeof(double) * (size_t)e->nz);
  memset(e->last, 0, sizeof(double) * (size_t)e->input_columns);
  memset(e->work, 0, sizeof(double) * (size_t)(13 * e->nx + 2 * e->nz));
  for (int32_t j = 0; j < e->nx; j++) e->nominal[j] = 1.0;
}

static int initialized(const WholeRun *w, Engine *e, double time, const double *row, const double *next, Report *report) {
  void *c = e->instance;
  int status = 0;
  if (e->version == 2)
    status = ((int (*)(void *, int, double, double, int, double))w->functions[SETUP_EXPERIMENT])(c, w->tolerance_known, w->tolerance,
                                                                                                 w->start, 0, 0.0);
  for (uint64_t i = 0; i < w->n_starts && status <= 1; i++) {
    const Start *one = &w->starts[i];
    status = e->version == 2 ? ((Set2)one->function)(c, &one->reference, 1, one->values)
                             : ((Set3)one->function)(c, &one->reference, 1, one->values, one->n_values);
  }
  if (status > 1) return status;
  void *enter = w->functions[ENTER_INITIALIZATION];
  if (e->version == 2) status = ((int (*)(void *))enter)(c);
  else status = ((int (*)(void *, uint8_t, double, double, uint8_t, double))enter)(c, (uint8_t)w->tolerance_known, w->tolerance, w->start, 0,
                                                                                   0.0);
  if (status > 1) return status;
  if (tw_inputs(e, time, row, next, report)) return report->status;
  return ((int (*)(void *))w->functions[EXIT_INITIALIZATION])(c);
}

static int fetched(Engine *e, int function, double *values, int32_t n) {
  return n ? ((int (*)(void *, double *, size_t))e->functions[function])(e->instance, values, (size_t)n) : 0;
}

/* From initialisation to where it can be stepped. */
static int entered(const WholeRun *w, Engine *e, double time, Report *report) {
  int nominals, values, status;
  if (!w->exchange && !e->event_mode) return 0;
  if (tw_update_discrete_states(e, &nominals, &values, report, time)) return report->status;
  if (!w->exchange) return ((int (*)(void *))e->functions[ENTER_STEP_MODE])(e->instance);
  status = ((int (*)(void *))e->functions[ENTER_CONTINUOUS_MODE])(e->instance);
  if (status <= 1) status = fetched(e, GET_STATES, e->x, e->nx);
  if (status <= 1) status = fetched(e, GET_NOMINALS, e->nominal, e->nx);
  if (status <= 1) status = fetched(e, GET_INDICATORS, e->z, e->nz);
  for (int32_t j = 0; j < e->nx; j++) e->nominal[j] = fabs(e->nominal[j]) > 0.0 ? fabs(e->nominal[j]) : 1.0;
  return status;
}

static int run(const WholeRun *w, Engine *e, const double *times, int64_t n, const double *inputs, double *outputs, Report *report) {
  int status = initialized(w, e, times[0], inputs, n > 1 ? inputs + e->input_columns : inputs, report);
  if (status <= 1 && !report->code) status = entered(w, e, times[0], report);
  if (status > 1 || report->code) return status;
  if (tw_outputs(e, times[0], outputs, report) || n < 2) return report->status;
  (w->exchange ? tw_exchange : tw_cosimulate)(e, times, n, inputs, outputs, report);
  return report->status;
}

/* Whether all went well, and every row of `outputs` is filled. The instance is still there; see tw_end_run. */
int tw_whole_run(WholeRun *w, Engine *e, const double *times, int64_t n, const double *inputs, double *outputs) {
  Report report = {0};
  wiped(e);
  w->fatal = 0;
  e->instance = instantiated(w, e);
  if (!e->instance) return 0;
  int status = run(w, e, times, n, inputs, outputs, &report);
  w->fatal = status == 4;
  if (status > 1 || report.code) return 0;
  w->fatal = ((int (*)(void *))w->functions[TERMINATE])(e->instance) == 4;
  return 1;
}

/* Let the instance go; whether nothing speaks against another run in this process: after Fatal nothing may be called. */
int tw_end_run(const WholeRun *w, Engine *e) {
  if (e->instance && !w->fatal) ((void (*)(void *))w->functions[FREE_INSTANCE])(e->instance);
  e->instance = NULL;
  return !w->fatal;
}

/* What abi.py must agree with. */
uint64_t tw_run_layout(void) { return sizeof(WholeRun) * 1000 + sizeof(Start); }
