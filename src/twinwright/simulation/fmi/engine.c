/* The inner loops over an FMU: co-simulation and model exchange of FMI 2.0 and 3.0, many samples per call.
 *
 * Inputs are interpolated and outputs recorded inside. The life of an instance (instantiate, initialise, save, free) is
 * not here but in instance.py, which gives this loop the addresses of the functions, and in whole_run.c. python_engine.py has the same
 * arithmetic in the same order, for machines without a compiler; compiled without contraction both give the same bytes.
 *
 * Methods: forward Euler, classical Runge-Kutta, and Dormand-Prince 5(4) with its continuous extension of order four.
 * E. Hairer, S. P. Norsett, G. Wanner, Solving Ordinary Differential Equations I, 2nd ed., II.1, II.4, II.5, II.6. */
#include "engine.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  int needed, terminate, nominals_changed, values_changed, time_defined;
  double time;
} EventInfo;

/* --- messages ------------------------------------------------------------------------------------------------ */

static char last_message[2048];
static long messages;

static void keep(int status, const char *category, const char *text) {
  if (status > 0 && status != 5) snprintf(last_message, sizeof last_message, "%s", text);
  if (++messages <= 10000) fprintf(stderr, "FMU: %s: %s\n", category ? category : "", text);
  if (messages == 10000) fprintf(stderr, "FMU: further messages are left out\n");
  fflush(stderr);
}

static void logger2(void *environment, const char *name, int status, const char *category, const char *message, ...) {
  char text[2048];
  va_list values;
  (void)environment, (void)name;
  va_start(values, message);
  vsnprintf(text, sizeof text, message ? message : "", values);
  va_end(values);
  keep(status, category, text);
}

static void logger3(void *environment, int status, const char *category, const char *message) {
  (void)environment;
  keep(status, category, message ? message : "");
}

static void step_finished(void *environment, int status) { (void)environment, (void)status; }

static const struct {
  void (*logger)(void *, const char *, int, const char *, const char *, ...);
  void *(*allocate)(size_t, size_t);
  void (*release)(void *);
  void (*finished)(void *, int);
  void *environment;
} callbacks2 = {logger2, calloc, free, step_finished, NULL};

const void *tw_callbacks2(void) { return &callbacks2; }
void *tw_log3(void) { return (void *)logger3; }
char *tw_last_message(void) { return last_message; }

/* --- inputs and outputs -------------------------------------------------------------------------------------- */

static void narrow(int32_t type, void *buffer, uint64_t v, double value) {
  switch (type) {
  case FLOAT64: ((double *)buffer)[v] = value; break;
  case FLOAT32: ((float *)buffer)[v] = (float)value; break;
  case INT8: ((int8_t *)buffer)[v] = (int8_t)nearbyint(value); break;
  case UINT8: ((uint8_t *)buffer)[v] = (uint8_t)nearbyint(value); break;
  case INT16: ((int16_t *)buffer)[v] = (int16_t)nearbyint(value); break;
  case UINT16: ((uint16_t *)buffer)[v] = (uint16_t)nearbyint(value); break;
  case INT32: ((int32_t *)buffer)[v] = (int32_t)nearbyint(value); break;
  case UINT32: ((uint32_t *)buffer)[v] = (uint32_t)nearbyint(value); break;
  case INT64: ((int64_t *)buffer)[v] = (int64_t)nearbyint(value); break;
  case UINT64: ((uint64_t *)buffer)[v] = (uint64_t)nearbyint(value); break;
  default: ((uint8_t *)buffer)[v] = value != 0.0;
  }
}

static double widen(int32_t type, const void *buffer, uint64_t v) {
  switch (type) {
  case FLOAT64: return ((const double *)buffer)[v];
  case FLOAT32: return ((const float *)buffer)[v];
  case INT8: return ((const int8_t *)buffer)[v];
  case UINT8: return ((const uint8_t *)buffer)[v];
  case INT16: return ((const int16_t *)buffer)[v];
  case UINT16: return ((const uint16_t *)buffer)[v];
  case INT32: return ((const int32_t *)buffer)[v];
  case UINT32: return ((const uint32_t *)buffer)[v];
  case INT64: return (double)((const int64_t *)buffer)[v];
  case UINT64: return (double)((const uint64_t *)buffer)[v];
  default: return ((const uint8_t *)buffer)[v] != 0;
  }
}

static inline double input_at(const Engine *e, const double *row, const double *next, double fraction, int32_t column) {
  int32_t hold = e->holds[column];
  if (hold == HOLD_ZERO || (hold == HOLD_LINEAR && fraction == 0.0)) return row[column];
  if (hold == HOLD_NEXT) return next[column];
  return row[column] + fraction * (next[column] - row[column]);
}

static int fail(Report *report, int code, int status, int function, double time) {
  report->code = code, report->status = status, report->function = function, report->time = time;
  return code;
}

/* all: the discrete ones too; linear_only: only those that move between two samples; fraction: of the way from row to next. */
static inline __attribute__((always_inline)) int set_inputs(Engine *e, const double *row, const double *next, double fraction, int all,
                                                            int linear_only, Report *report, double t) {
  for (int32_t g = 0; g < e->n_inputs; g++) {
    const Group *group = &e->inputs[g];
    int moves = 0;
    if (!all && group->discrete) continue;
    for (uint64_t v = 0; v < group->n_values; v++) {
      int32_t column = group->columns[v];
      if (column < 0) continue;
      double value = input_at(e, row, next, fraction, column);
      moves |= e->holds[column] == HOLD_LINEAR;
      e->last[column] = value;
      if (group->type == FLOAT64) ((double *)group->buffer)[v] = value;
      else narrow(group->type, group->buffer, v, value);
    }
    if (linear_only && !moves) continue;
    int status = e->version == 2
                     ? ((Set2)group->function)(e->instance, group->references, group->n_references, group->buffer)
                     : ((Set3)group->function)(e->instance, group->references, group->n_references, group->buffer, group->n_values);
    if (status > 1) return fail(report, FAILED, status, SET_INPUT, t);
  }
  return OK;
}

static inline __attribute__((always_inline)) int get_outputs(const Engine *e, int version, double *row, Report *report, double t) {
  for (int32_t g = 0; g < e->n_outputs; g++) {
    const Group *group = &e->outputs[g];
    void *values = group->direct >= 0 ? row + group->direct : group->buffer;
    int status = version == 2 ? ((Get2)group->function)(e->instance, group->references, group->n_references, values)
                              : ((Get3)group->function)(e->instance, group->references, group->n_references, values, group->n_values);
    if (status > 1) return fail(report, FAILED, status, GET_OUTPUT, t);
    if (group->direct >= 0) continue;
    for (uint64_t v = 0; v < group->n_values; v++)
      if (group->columns[v] >= 0) row[group->columns[v]] = widen(group->type, group->buffer, v);
  }
  return OK;
}

/* --- co-simulation ------------------------------------------------------------------------------------------- */

static int call(const Engine *e, int function, Report *report, double t) {
  int status = ((int (*)(void *))e->functions[function])(e->instance);
  return status > 1 ? fail(report, FAILED, status, function, t) : OK;
}

typedef int (*Step2)(void *, double, double, int);
typedef int (*Step3)(void *, double, double, uint8_t, uint8_t *, uint8_t *, uint8_t *, double *);

/* What an FMU says of a step of 3.0 beside its status. */
typedef struct {
  uint8_t event, terminate, early;
  double reached;
} Told;

/* How far it came, where a step was answered by a status: mostly to the target. */
static inline __attribute__((always_inline)) int stepped2(Engine *e, int status, double *t, double target, Report *report) {
  while (status == 5 && e->functions[GET_STATUS]) { /* pending: it works in a thread of its own */
    int failed = ((int (*)(void *, int, int *))e->functions[GET_STATUS])(e->instance, 0, &status);
    if (failed > 1) return fail(report, FAILED, failed, GET_STATUS, *t);
  }
  if (status <= 1) {
    *t = target;
    return OK;
  }
  if (status != 2) return fail(report, FAILED, status, DO_STEP, *t);
  double reached = *t;
  int terminated = 0;
  if (e->functions[GET_BOOLEAN_STATUS]) ((int (*)(void *, int, int *))e->functions[GET_BOOLEAN_STATUS])(e->instance, 3, &terminated);
  if (e->functions[GET_REAL_STATUS]) ((int (*)(void *, int, double *))e->functions[GET_REAL_STATUS])(e->instance, 2, &reached);
  if (terminated) return fail(report, TERMINATED, status, DO_STEP, reached);
  if (!(reached > *t) || reached > target || !e->variable_step) return fail(report, DISCARDED, status, DO_STEP, *t);
  *t = reached;
  report->rejected++;
  return OK;
}

/* Of times that are rounded the difference is off by a digit, which an FMU that takes only equal steps may not take for the same. */
static inline __attribute__((always_inline)) double step_length(double equal, double begin, double end) {
  double span = end - begin;
  return equal > 0.0 && fabs(span - equal) <= 1e-9 * equal + 4e-16 * fabs(end) ? equal : span;
}

static inline __attribute__((always_inline)) int step2(Engine *e, double *t, double target, Report *report) {
  return stepped2(e, ((Step2)e->functions[DO_STEP])(e->instance, *t, step_length(e->equal_step, *t, target), 1), t, target, report);
}

static inline __attribute__((always_inline)) int stepped3(Engine *e, int status, const Told *told, double *t, double target,
                                                          Report *report) {
  if (status > 2) return fail(report, FAILED, status, DO_STEP, *t);
  if (told->terminate) return fail(report, TERMINATED, status, DO_STEP, told->early ? told->reached : target);
  if (status == 2 || told->early) {
    if (told->reached > target || (!(told->reached > *t) && !told->event)) return fail(report, DISCARDED, status, DO_STEP, *t);
    report->rejected += told->reached < target;
    *t = told->reached;
  } else *t = target;
  if (told->event && e->event_mode) {
    int nominals, values;
    report->events++;
    if (call(e, ENTER_EVENT_MODE, report, *t) || tw_update_discrete_states(e, &nominals, &values, report, *t)) return report->code;
    return call(e, ENTER_STEP_MODE, report, *t);
  }
  return OK;
}

static inline __attribute__((always_inline)) int step3(Engine *e, double *t, double target, Report *report) {
  Told told = {0, 0, 0, *t};
  int status = ((Step3)e->functions[DO_STEP])(e->instance, *t, step_length(e->equal_step, *t, target), 1, &told.event, &told.terminate,
                                              &told.early, &told.reached);
  return stepped3(e, status, &told, t, target, report);
}

/* The inputs at a communication point, as set_inputs; what was set is not remembered, since nothing jumps here. */
static inline __attribute__((always_inline)) int give(const Engine *restrict e, int version, const double *restrict row,
                                                      const double *restrict next, double fraction, Report *report, double t) {
  for (int32_t g = 0; g < e->n_inputs; g++) {
    const Group *restrict group = &e->inputs[g];
    const int32_t *restrict columns = group->columns;
    const void *values = group->buffer;
    if (e->event_mode && group->discrete) continue; /* given in an event: see announce */
    if (group->direct >= 0 && fraction == 0.0) values = row + group->direct;
    else for (uint64_t v = 0; v < group->n_values; v++) {
      if (columns[v] < 0) continue;
      double value = input_at(e, row, next, fraction, columns[v]);
      if (group->type == FLOAT64) ((double *)group->buffer)[v] = value;
      else narrow(group->type, group->buffer, v, value);
    }
    int status = version == 2 ? ((Set2)group->function)(e->instance, group->references, group->n_references, values)
                              : ((Set3)group->function)(e->instance, group->references, group->n_references, values, group->n_values);
    if (status > 1) return fail(report, FAILED, status, SET_INPUT, t);
  }
  return OK;
}

/* With event mode in use, discrete inputs and tunable parameters are set in it alone (FMI 3.0, 4.2.1), where one has another value. */
static int announce(Engine *e, const double *row, const double *next, double fraction, Report *report, double t) {
  int moved = 0, nominals, values;
  for (int32_t g = 0; g < e->n_inputs; g++)
    for (uint64_t v = 0; e->inputs[g].discrete && v < e->inputs[g].n_values; v++) {
      int32_t column = e->inputs[g].columns[v];
      moved |= column >= 0 && input_at(e, row, next, fraction, column) != e->last[column];
    }
  if (!moved) return OK;
  report->events++;
  if (call(e, ENTER_EVENT_MODE, report, t) || set_inputs(e, row, next, fraction, 1, 0, report, t)) return report->code;
  if (tw_update_discrete_states(e, &nominals, &values, report, t)) return report->code;
  return call(e, ENTER_STEP_MODE, report, t);
}

/* From t to the end of the interval between two samples, in so many steps as it takes. */
static inline __attribute__((always_inline)) int interval(Engine *e, int version, const double *row, const double *next, double begin,
                                                          double end, double t, Report *report) {
  double span = end - begin;
  for (int32_t s = 1; s <= e->substeps; s++) {
    double target = s == e->substeps ? end : begin + span * s / e->substeps;
    int64_t calls = report->steps;
    while (t < target) {
      double fraction = t == begin ? 0.0 : (t - begin) / span; /* nearly always: a division costs as much as a small model */
      if (e->event_mode && announce(e, row, next, fraction, report, t)) return report->code;
      if (give(e, version, row, next, fraction, report, t)) return report->code;
      if (version == 2 ? step2(e, &t, target, report) : step3(e, &t, target, report)) return report->code;
      if (++report->steps - calls > 1000000) return fail(report, ENDLESS_EVENTS, 0, DO_STEP, t);
    }
  }
  return OK;
}

/* Written out for each version, so that neither asks at each step which it is. */
static inline __attribute__((always_inline)) int cosimulate(Engine *e, int version, const double *times, int64_t n, const double *inputs,
                                                            double *outputs, Report *report) {
  for (int64_t i = 0; i + 1 < n; i++) {
    const double *row = inputs + i * e->input_columns, *next = row + e->input_columns;
    if (interval(e, version, row, next, times[i], times[i + 1], times[i], report)) return report->code;
    if (get_outputs(e, version, outputs + (i + 1) * e->output_columns, report, times[i + 1])) return report->code;
    report->rows = i + 2;
  }
  return OK;
}

static int rest(Engine *e, int version, const double *row, double begin, double end, double t, Report *report) {
  const double *next = row + e->input_columns;
  return version == 2 ? interval(e, 2, row, next, begin, end, t, report) : interval(e, 3, row, next, begin, end, t, report);
}

/* The same, where a step leads from sample to sample, and inputs and outputs lie in one row each as the FMU takes them: of a small
 * model most of the time goes into looking for what does not change. What an FMU answers otherwise than by OK is seen to as above. */
static inline __attribute__((always_inline)) int straight(Engine *e, int version, const double *times, int64_t n, const double *inputs,
                                                          double *outputs, Report *report) {
  static const Group none = {0};
  const Group in = e->n_inputs ? e->inputs[0] : none, out = e->n_outputs ? e->outputs[0] : none;
  const int sets = e->n_inputs > 0, gets = e->n_outputs > 0;
  const int64_t wide_in = e->input_columns, wide_out = e->output_columns;
  void *const instance = e->instance, *const step = e->functions[DO_STEP];
  const double *row = inputs, equal = e->equal_step;
  double *to = outputs + wide_out + out.direct;
  double t = times[0];
  int64_t i = 0, steps = report->steps;
  int code = OK, status;
  for (; i + 1 < n; i++, row += wide_in, to += wide_out) {
    const double begin = t, end = times[i + 1];
    if (sets) {
      status = version == 2 ? ((Set2)in.function)(instance, in.references, in.n_references, row + in.direct)
                            : ((Set3)in.function)(instance, in.references, in.n_references, row + in.direct, in.n_values);
      if (__builtin_expect(status > 1, 0)) {
        code = fail(report, FAILED, status, SET_INPUT, begin);
        break;
      }
    }
    Told told = {0, 0, 0, begin};
    const double h = step_length(equal, begin, end);
    status = version == 2 ? ((Step2)step)(instance, begin, h, 1)
                          : ((Step3)step)(instance, begin, h, 1, &told.event, &told.terminate, &told.early, &told.reached);
    steps++;
    if (__builtin_expect(status > 1 || told.event || told.terminate || told.early, 0)) {
      report->steps = --steps; /* one that failed does not count */
      code = version == 2 ? stepped2(e, status, &t, end, report) : stepped3(e, status, &told, &t, end, report);
      if (code == OK) {
        report->steps++;
        code = rest(e, version, row, begin, end, t, report);
      }
      steps = report->steps;
      if (code) break;
    }
    t = end;
    if (gets) {
      status = version == 2 ? ((Get2)out.function)(instance, out.references, out.n_references, to)
                            : ((Get3)out.function)(instance, out.references, out.n_references, to, out.n_values);
      if (__builtin_expect(status > 1, 0)) {
        code = fail(report, FAILED, status, GET_OUTPUT, end);
        break;
      }
    }
  }
  report->steps = steps;
  if (i) report->rows = i + 1;
  return code;
}

static int is_straight(const Engine *e, const double *times, int64_t n) {
  if (e->substeps != 1 || e->n_inputs > 1 || e->n_outputs > 1) return 0;
  if (e->event_mode && e->n_inputs && e->inputs[0].discrete) return 0;
  if ((e->n_inputs && e->inputs[0].direct < 0) || (e->n_outputs && e->outputs[0].direct < 0)) return 0;
  for (int64_t i = 0; i + 1 < n; i++)
    if (!(times[i] < times[i + 1])) return 0;
  return 1;
}

/* Rows 1 to n-1 of `outputs`; row 0 is where the instance is. */
int tw_cosimulate(Engine *e, const double *times, int64_t n, const double *inputs, double *outputs, Report *report) {
  if (n > 1 && is_straight(e, times, n))
    return e->version == 2 ? straight(e, 2, times, n, inputs, outputs, report) : straight(e, 3, times, n, inputs, outputs, report);
  return e->version == 2 ? cosimulate(e, 2, times, n, inputs, outputs, report) : cosimulate(e, 3, times, n, inputs, outputs, report);
}

/* --- model exchange ------------------------------------------------------------------------------------------ */

int tw_update_discrete_states(Engine *e, int *nominals, int *values, Report *report, double t) {
  *nominals = *values = 0;
  for (int iteration = 0; iteration < 1000; iteration++) {
    EventInfo info = {0, 0, 0, 0, 0, 0.0};
    int status;
    if (e->version == 2)
      status = ((int (*)(void *, EventInfo *))e->functions[UPDATE_DISCRETE_STATES])(e->instance, &info);
    else {
      uint8_t b[5] = {0, 0, 0, 0, 0};
      status = ((int (*)(void *, uint8_t *, uint8_t *, uint8_t *, uint8_t *, uint8_t *, double *))e->functions[UPDATE_DISCRETE_STATES])(
          e->instance, b, b + 1, b + 2, b + 3, b + 4, &info.time);
      info.needed = b[0], info.terminate = b[1], info.nominals_changed = b[2], info.values_changed = b[3], info.time_defined = b[4];
    }
    if (status > 1) return fail(report, FAILED, status, UPDATE_DISCRETE_STATES, t);
    if (info.terminate) return fail(report, TERMINATED, 0, UPDATE_DISCRETE_STATES, t);
    *nominals |= info.nominals_changed, *values |= info.values_changed;
    e->next_event = info.time_defined ? info.time : INFINITY;
    if (!info.needed) return OK;
  }
  return fail(report, ENDLESS_EVENTS, 0, UPDATE_DISCRETE_STATES, t);
}

static int array_call(const Engine *e, int function, double *values, int32_t n, Report *report, double t) {
  if (!n) return OK;
  int status = ((int (*)(void *, double *, size_t))e->functions[function])(e->instance, values, (size_t)n);
  return status > 1 ? fail(report, FAILED, status, function, t) : OK;
}

typedef struct {
  const double *row, *next;
  double begin, span;
} Interval;

static int place(Engine *e, const Interval *in, double t, const double *x, Report *report) {
  int status = ((int (*)(void *, double))e->functions[SET_TIME])(e->instance, t);
  if (status > 1) return fail(report, FAILED, status, SET_TIME, t);
  if (array_call(e, SET_STATES, (double *)x, e->nx, report, t)) return report->code;
  return set_inputs(e, in->row, in->next, (t - in->begin) / in->span, 0, 1, report, t);
}

static int derive(Engine *e, const Interval *in, double t, const double *x, double *dx, Report *report) {
  return place(e, in, t, x, report) || array_call(e, GET_DERIVATIVES, dx, e->nx, report, t) ? report->code : OK;
}

static const double A[7][6] = {
    {0},
    {1.0 / 5},
    {3.0 / 40, 9.0 / 40},
    {44.0 / 45, -56.0 / 15, 32.0 / 9},
    {19372.0 / 6561, -25360.0 / 2187, 64448.0 / 6561, -212.0 / 729},
    {9017.0 / 3168, -355.0 / 33, 46732.0 / 5247, 49.0 / 176, -5103.0 / 18656},
    {35.0 / 384, 0, 500.0 / 1113, 125.0 / 192, -2187.0 / 6784, 11.0 / 84}};
static const double C[7] = {0, 1.0 / 5, 3.0 / 10, 4.0 / 5, 8.0 / 9, 1, 1};
static const double E5[7] = {71.0 / 57600, 0, -71.0 / 16695, 71.0 / 1920, -17253.0 / 339200, 22.0 / 525, -1.0 / 40};
static const double D[7] = {-12715105075.0 / 11282082432.0, 0, 87487479700.0 / 32700410799.0, -10690763975.0 / 1880347072.0,
                            701980252875.0 / 199316789632.0, -1453857185.0 / 822651844.0, 69997945.0 / 29380423.0};

/* One step from x (derivative k[0]) to y; k[6] is the derivative at its end. Gives the error norm for DOPRI5, else 0. */
static int one_step(Engine *e, const Interval *in, double t, double h, double **k, double *y, double *error, Report *report) {
  int n = e->nx;
  double *x = e->x;
  *error = 0.0;
  if (e->method == EULER) {
    for (int j = 0; j < n; j++) y[j] = x[j] + h * k[0][j];
  } else if (e->method == RK4) {
    for (int j = 0; j < n; j++) y[j] = x[j] + 0.5 * h * k[0][j];
    if (derive(e, in, t + 0.5 * h, y, k[1], report)) return report->code;
    for (int j = 0; j < n; j++) y[j] = x[j] + 0.5 * h * k[1][j];
    if (derive(e, in, t + 0.5 * h, y, k[2], report)) return report->code;
    for (int j = 0; j < n; j++) y[j] = x[j] + h * k[2][j];
    if (derive(e, in, t + h, y, k[3], report)) return report->code;
    for (int j = 0; j < n; j++) y[j] = x[j] + h / 6.0 * (k[0][j] + 2.0 * k[1][j] + 2.0 * k[2][j] + k[3][j]);
  } else {
    for (int s = 1; s < 7; s++) {
      for (int j = 0; j < n; j++) {
        double sum = 0.0;
        for (int r = 0; r < s; r++) sum = sum + A[s][r] * k[r][j];
        y[j] = x[j] + h * sum;
      }
      if (derive(e, in, t + C[s] * h, y, k[s], report)) return report->code;
    }
    double sum = 0.0;
    for (int j = 0; j < n; j++) {
      double part = 0.0;
      for (int s = 0; s < 7; s++) part = part + E5[s] * k[s][j];
      double size = fmax(fmax(fabs(x[j]), fabs(y[j])), e->nominal[j]);
      part = h * part / (e->rtol * size);
      sum = sum + part * part;
    }
    *error = n ? sqrt(sum / n) : 0.0;
    return OK;
  }
  return derive(e, in, t + h, y, k[6], report);
}

/* The states a fraction of the way through a step: continuous extension of DOPRI5 (II.6), else cubic Hermite (II.6.3). */
static void within(const Engine *e, double h, double fraction, double *const *k, const double *y, double *out) {
  double rest = 1.0 - fraction;
  for (int j = 0; j < e->nx; j++) {
    double difference = y[j] - e->x[j], bend = h * k[0][j] - difference;
    double third = difference - h * k[6][j] - bend, fourth = 0.0;
    if (e->method == DOPRI5) {
      for (int s = 0; s < 7; s++) fourth = fourth + D[s] * k[s][j];
      fourth = h * fourth;
    }
    out[j] = e->x[j] + fraction * (difference + rest * (bend + fraction * (third + rest * fourth)));
  }
}

static int crossed(const Engine *e, const double *before, const double *after) {
  for (int j = 0; j < e->nz; j++)
    if ((before[j] > 0.0) != (after[j] > 0.0)) return 1;
  return 0;
}

static int after_event(Engine *e, const Interval *in, int all_inputs, double t, Report *report) {
  int nominals, values;
  report->events++;
  if (call(e, ENTER_EVENT_MODE, report, t)) return report->code;
  if (all_inputs && set_inputs(e, in->row, in->next, (t - in->begin) / in->span, 1, 0, report, t)) return report->code;
  if (tw_update_discrete_states(e, &nominals, &values, report, t) || call(e, ENTER_CONTINUOUS_MODE, report, t)) return report->code;
  if (values && array_call(e, GET_STATES, e->x, e->nx, report, t)) return report->code;
  if (nominals && array_call(e, GET_NOMINALS, e->nominal, e->nx, report, t)) return report->code;
  for (int j = 0; nominals && j < e->nx; j++) e->nominal[j] = e->nominal[j] == 0.0 ? 1.0 : fabs(e->nominal[j]);
  e->h = 0.0;
  return array_call(e, GET_INDICATORS, e->z, e->nz, report, t);
}

/* The step to begin with (II.4, simplified): a hundredth of what would change the states by their size. */
static double first_step(const Engine *e, const double *dx, double span) {
  double d0 = 0.0, d1 = 0.0;
  for (int j = 0; j < e->nx; j++) {
    double size = fmax(fabs(e->x[j]), e->nominal[j]);
    d0 = d0 + e->x[j] / size * (e->x[j] / size), d1 = d1 + dx[j] / size * (dx[j] / size);
  }
  double h = d0 < 1e-10 || d1 < 1e-10 ? 1e-3 * span : 0.01 * sqrt(d0 / d1);
  return fmin(h, span);
}

/* Where a model can't be evaluated, outside its domain or where its iteration does not converge, a shorter step may do (FMI 2.0, 2.1.3 and
 * FMI 3.0, 2.2.3, Discard): whether one is to be tried. */
static int shorter(Engine *e, double t, double h, Report *report) {
  if (report->code != FAILED || report->status != 2 || e->method != DOPRI5 || !(t + 0.025 * h > t)) return 0;
  report->code = OK, report->status = 0, report->rejected++;
  e->h = 0.25 * h;
  return 1;
}

/* An explicit method gets through a stiff model by steps that stay short: after so many between two samples, and so far to go. */
enum { MANY_STEPS = 100000, FAR = 10000000 };

static int integrate(Engine *e, const Interval *in, double *t, double end, Report *report) {
  double *k[7], *y = e->work + 7 * e->nx, *mid = y + e->nx, *z = e->work + 13 * e->nx;
  for (int s = 0; s < 7; s++) k[s] = e->work + s * e->nx;
  int64_t quiet = 0, begun = report->steps;
  while (*t < end) {
    double target = fmin(end, e->next_event);
    if (target <= *t) {
      if (after_event(e, in, 0, *t, report)) return report->code;
      if (++quiet > 1000) return fail(report, ENDLESS_EVENTS, 0, UPDATE_DISCRETE_STATES, *t);
      continue;
    }
    double left = target - *t, h, error;
    if (derive(e, in, *t, e->x, k[0], report)) return report->code;
    if (e->method == DOPRI5) {
      if (!e->nx) e->h = left;
      else if (!(e->h > 0.0)) e->h = first_step(e, k[0], fmin(in->span, e->max_step));
      h = fmin(fmin(e->h, e->max_step), left);
      if (left - h < 0.1 * h && left <= e->max_step) h = left;
    } else
      h = left / fmax(1.0, ceil(left / e->max_step - 1e-9));
    if (one_step(e, in, *t, h, k, y, &error, report)) {
      if (shorter(e, *t, h, report)) continue;
      return report->code;
    }
    if (e->method == DOPRI5) {
      if (!(error <= 1.0)) {
        e->h = isfinite(error) ? h * fmax(0.2, 0.9 * pow(error, -0.2)) : 0.1 * h;
        report->rejected++;
        if (!(*t + 0.1 * e->h > *t)) return fail(report, isfinite(error) ? TOO_SMALL_STEP : NOT_FINITE, 0, GET_DERIVATIVES, *t);
        continue;
      }
      double grown = h * fmin(5.0, 0.9 * pow(fmax(error, 1e-10), -0.2));
      e->h = h < e->h ? fmax(e->h, grown) : grown; /* one cut short by a sample says nothing against a long one */
    }
    double reached = h == left ? target : *t + h;
    if (place(e, in, reached, y, report) || array_call(e, GET_INDICATORS, z, e->nz, report, reached)) {
      if (shorter(e, *t, h, report)) continue;
      return report->code;
    }
    int state_event = crossed(e, e->z, z);
    if (state_event) { /* the end of the shortest part of the step in which a sign has changed */
      double low = 0.0, high = 1.0;
      for (int i = 0; i < 60 && *t + low * h < *t + high * h; i++) {
        double fraction = 0.5 * (low + high);
        if (fraction <= low || fraction >= high) break;
        within(e, h, fraction, k, y, mid);
        if (place(e, in, *t + fraction * h, mid, report) || array_call(e, GET_INDICATORS, z, e->nz, report, *t)) return report->code;
        if (crossed(e, e->z, z)) high = fraction;
        else low = fraction;
      }
      if (high < 1.0) {
        within(e, h, high, k, y, mid);
        memcpy(y, mid, sizeof(double) * (size_t)e->nx);
        reached = *t + high * h;
      }
      if (place(e, in, reached, y, report) || array_call(e, GET_INDICATORS, z, e->nz, report, reached)) return report->code;
    }
    quiet = reached > *t ? 0 : quiet + 1;
    if (quiet > 1000 || report->events > 10000000) return fail(report, ENDLESS_EVENTS, 0, GET_INDICATORS, reached);
    memcpy(e->x, y, sizeof(double) * (size_t)e->nx);
    if (e->nz) memcpy(e->z, z, sizeof(double) * (size_t)e->nz);
    *t = reached;
    report->steps++;
    if (e->method == DOPRI5 && report->steps - begun > MANY_STEPS && end - *t > FAR * e->h)
      return fail(report, TOO_SMALL_STEP, 0, GET_DERIVATIVES, *t);
    for (int j = 0; j < e->nx; j++)
      if (!isfinite(e->x[j])) return fail(report, NOT_FINITE, j, GET_STATES, *t);
    int step_event = 0, terminate = 0;
    if (e->completed_step) {
      int status;
      if (e->version == 2)
        status = ((int (*)(void *, int, int *, int *))e->functions[COMPLETED_STEP])(e->instance, 1, &step_event, &terminate);
      else {
        uint8_t b[2] = {0, 0};
        status = ((int (*)(void *, uint8_t, uint8_t *, uint8_t *))e->functions[COMPLETED_STEP])(e->instance, 1, b, b + 1);
        step_event = b[0], terminate = b[1];
      }
      if (status > 1) return fail(report, FAILED, status, COMPLETED_STEP, *t);
      if (terminate) return fail(report, TERMINATED, 0, COMPLETED_STEP, *t);
    }
    if ((state_event || step_event || *t >= e->next_event) && after_event(e, in, 0, *t, report)) return report->code;
  }
  return OK;
}

/* Rows 1 to n-1 of `outputs`. An input that jumps at a sample is an event there; a linear one is not. */
int tw_exchange(Engine *e, const double *times, int64_t n, const double *inputs, double *outputs, Report *report) {
  for (int64_t i = 0; i + 1 < n; i++) {
    Interval in = {inputs + i * e->input_columns, inputs + (i + 1) * e->input_columns, times[i], times[i + 1] - times[i]};
    double t = times[i];
    int jumps = 0;
    if (!(in.span > 0.0)) { /* two samples at one instant: every input jumps */
      in.row = in.next, in.span = 1.0;
      if (place(e, &in, t, e->x, report) || after_event(e, &in, 1, t, report)) return report->code;
      if (get_outputs(e, e->version, outputs + (i + 1) * e->output_columns, report, t)) return report->code;
      report->rows = i + 2;
      continue;
    }
    for (int32_t j = 0; j < e->input_columns; j++)
      jumps |= e->holds[j] != HOLD_LINEAR && input_at(e, in.row, in.next, 0.0, j) != e->last[j];
    if (jumps && (place(e, &in, t, e->x, report) || after_event(e, &in, 1, t, report))) return report->code;
    if (integrate(e, &in, &t, times[i + 1], report)) return report->code;
    if (place(e, &in, t, e->x, report) || get_outputs(e, e->version, outputs + (i + 1) * e->output_columns, report, t)) return report->code;
    report->rows = i + 2;
  }
  return OK;
}

/* The outputs now, as one row. */
int tw_outputs(Engine *e, double time, double *row, Report *report) { return get_outputs(e, e->version, row, report, time); }

/* Inputs at the first sample, for the initialisation mode. */
int tw_inputs(Engine *e, double time, const double *row, const double *next, Report *report) {
  return set_inputs(e, row, next, 0.0, 1, 0, report, time);
}

/* What abi.py must agree with. */
uint64_t tw_layout(void) { return sizeof(Engine) * 1000000 + sizeof(Group) * 1000 + sizeof(Report); }
