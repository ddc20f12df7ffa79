/* What the loops (engine.c) and whole runs (whole_run.c) lay out and share; abi.py must agree with it. */
#ifndef ENGINE_H
#define ENGINE_H
#include <stddef.h>
#include <stdint.h>

enum { OK = 0, FAILED = 1, TERMINATED = 2, DISCARDED = 3, ENDLESS_EVENTS = 4, TOO_SMALL_STEP = 5, NOT_FINITE = 6 };
enum { FLOAT64, FLOAT32, INT8, UINT8, INT16, UINT16, INT32, UINT32, INT64, UINT64, BOOLEAN };
enum { HOLD_ZERO, HOLD_LINEAR, HOLD_NEXT };
enum { EULER, RK4, DOPRI5 };
enum {
  DO_STEP, SET_TIME, SET_STATES, GET_DERIVATIVES, GET_INDICATORS, GET_STATES, GET_NOMINALS, COMPLETED_STEP, ENTER_EVENT_MODE,
  UPDATE_DISCRETE_STATES, ENTER_CONTINUOUS_MODE, ENTER_STEP_MODE, GET_REAL_STATUS, GET_BOOLEAN_STATUS, GET_STATUS, SET_INPUT, GET_OUTPUT
};

typedef int (*Set2)(void *, const uint32_t *, size_t, const void *);
typedef int (*Set3)(void *, const uint32_t *, size_t, const void *, size_t);
typedef int (*Get2)(void *, const uint32_t *, size_t, void *);
typedef int (*Get3)(void *, const uint32_t *, size_t, void *, size_t);

/* Variables of one type: `references` are set or got in one call; value v belongs to column `columns[v]` of a row,
 * and where that is -1 it keeps what is in the buffer, or is not recorded. `direct`: doubles that lie in a row as the FMU takes
 * them, from this column on, so that nothing has to be copied; -1 where they don't. */
typedef struct {
  int32_t type, discrete, direct, pad;
  uint64_t n_references, n_values;
  const uint32_t *references;
  const int32_t *columns;
  void *buffer, *function;
} Group;

typedef struct {
  int32_t version, n_inputs, n_outputs, input_columns, output_columns, method;
  int32_t substeps, variable_step, event_mode, completed_step, nx, nz;
  double max_step, rtol, h, next_event; /* h: the step to try next, 0 for none; next_event: infinity for none */
  double equal_step;                    /* of co-simulation that takes only steps of one length; else 0 */
  void *instance;
  void *functions[15];
  const Group *inputs, *outputs;
  const int32_t *holds;    /* of each input column */
  double *last;            /* the inputs that were last set */
  double *x, *z, *nominal; /* states, indicators and nominals now */
  double *work;            /* 13 nx + 2 nz */
} Engine;

typedef struct {
  int32_t code, status, function, pad;
  double time;
  int64_t rows, steps, events, rejected;
} Report;

const void *tw_callbacks2(void);
void *tw_log3(void);
int tw_inputs(Engine *e, double time, const double *row, const double *next, Report *report);
int tw_outputs(Engine *e, double time, double *row, Report *report);
int tw_cosimulate(Engine *e, const double *times, int64_t n, const double *inputs, double *outputs, Report *report);
int tw_exchange(Engine *e, const double *times, int64_t n, const double *inputs, double *outputs, Report *report);
int tw_update_discrete_states(Engine *e, int *nominals, int *values, Report *report, double t);

#endif
