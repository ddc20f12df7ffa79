/* An electric car on a road: a driver who follows a speed, a motor, a battery that warms. FMI 2.0, for co-simulation.
 *
 * Currents and powers of the battery are positive while it gives. All energies since the start are kept, so that sums can be checked:
 *   cells + charger = kinetic + road + brakes + conversion + auxiliary + heat,   heat - cooled = heat capacity * rise of temperature.
 * Units are those of modelDescription.xml: SI throughout. */
#include "fmi2Functions.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { /* value references, in the order of modelDescription.xml */
  TARGET, SLOPE, OUTSIDE, CHARGER,
  SPEED, SOC, TEMPERATURE, CELLS_E, HEAT_E, COOLED_E, CHARGER_E, AUXILIARY_E, CONVERSION_E, BRAKES_E, ROAD_E, DISTANCE,
  VOLTAGE, CURRENT, POWER,
  MASS, DRAG, ROLLING, EFFICIENCY, AUXILIARY, MOTOR, RECOVERY, CELLS, RESISTANCE, CAPACITY, HEAT_CAPACITY, COOLING, SOC_0,
  REALS, FIRST_STATE = SPEED, STATES = DISTANCE - SPEED + 1
};

static const double GRAVITY = 9.80665, AIR = 1.2; /* m/s2, kg/m3 */
static const double REACTION = 1.5;               /* s, in which the driver closes on the target */
static const double FULL_CELL = 4.2;              /* V, above which a charger does not drive a cell */
static const double STEP = 0.1;                   /* s, the longest step of the integration */

typedef struct {
  double real[REALS];
  fmi2Real time;
} Car;

typedef struct {
  Car car;
  const fmi2CallbackFunctions *callbacks;
} Instance;

#define CAR (&((Instance *)c)->car)

static void start(Car *car) {
  static const double starts[REALS] = {
    [OUTSIDE] = 293.15, [TEMPERATURE] = 293.15, [MASS] = 1800, [DRAG] = 0.62, [ROLLING] = 0.010, [EFFICIENCY] = 0.90,
    [AUXILIARY] = 600, [MOTOR] = 110e3, [RECOVERY] = 60e3, [CELLS] = 96, [RESISTANCE] = 0.09, [CAPACITY] = 540e3,
    [HEAT_CAPACITY] = 330e3, [COOLING] = 60, [SOC_0] = 0.85};
  memcpy(car->real, starts, sizeof starts);
  car->time = 0;
}

/* Rates of the states, and voltage, current and power at this instant. 0: the battery can't give that power. */
static int calculate(double r[], double rate[]) {
  double speed = r[SPEED], open = r[CELLS] * (3.3 + 0.8 * r[SOC]);
  double resistance = r[RESISTANCE] * exp(1500.0 * (1.0 / r[TEMPERATURE] - 1.0 / 298.15));

  double hill = sin(atan(r[SLOPE])), weight = r[MASS] * GRAVITY;
  double road = 0.5 * AIR * r[DRAG] * speed * fabs(speed) + weight * (r[ROLLING] * tanh(speed / 0.1) + hill);
  double wanted = r[MASS] * (r[TARGET] - speed) / REACTION + road; /* force at the wheels, N */
  double wheels = wanted * speed;                                  /* W */
  double motor = fmin(fmax(wheels, -r[RECOVERY]), r[MOTOR]);
  double brakes = fmax(motor - wheels, 0.0);
  double force = wheels > motor && speed > 0.0 ? motor / speed : wanted;
  double electric = motor > 0.0 ? motor / r[EFFICIENCY] : motor * r[EFFICIENCY];

  double most = FULL_CELL * r[CELLS] * (FULL_CELL * r[CELLS] - open) / resistance + r[AUXILIARY];
  double charger = speed < 0.1 ? fmin(r[CHARGER], fmax(most, 0.0)) : 0.0; /* nobody is plugged in while driving */
  double power = electric + r[AUXILIARY] - charger, root = open * open - 4.0 * resistance * power;
  if (!(root >= 0.0)) return 0;
  double current = (open - sqrt(root)) / (2.0 * resistance); /* of U = open - R I and P = U I */
  double heat = resistance * current * current, cooled = r[COOLING] * (r[TEMPERATURE] - r[OUTSIDE]);

  r[CURRENT] = current, r[VOLTAGE] = open - resistance * current, r[POWER] = power;
  rate[SPEED - FIRST_STATE] = (force - road) / r[MASS];
  rate[SOC - FIRST_STATE] = -current / r[CAPACITY];
  rate[TEMPERATURE - FIRST_STATE] = (heat - cooled) / r[HEAT_CAPACITY];
  rate[CELLS_E - FIRST_STATE] = open * current;
  rate[HEAT_E - FIRST_STATE] = heat;
  rate[COOLED_E - FIRST_STATE] = cooled;
  rate[CHARGER_E - FIRST_STATE] = charger;
  rate[AUXILIARY_E - FIRST_STATE] = r[AUXILIARY];
  rate[CONVERSION_E - FIRST_STATE] = electric - motor;
  rate[BRAKES_E - FIRST_STATE] = brakes;
  rate[ROAD_E - FIRST_STATE] = road * speed;
  rate[DISTANCE - FIRST_STATE] = speed;
  return 1;
}

/* One step of the classical Runge-Kutta method, inputs held. */
static int step(Car *car, double h) {
  static const double ahead[4] = {0.0, 0.5, 0.5, 1.0}, weight[4] = {1.0 / 6, 1.0 / 3, 1.0 / 3, 1.0 / 6};
  double begun[STATES], rate[STATES] = {0}, sum[STATES] = {0}, *x = car->real + FIRST_STATE;
  memcpy(begun, x, sizeof begun);
  for (int stage = 0; stage < 4; stage++) {
    for (int j = 0; j < STATES; j++) x[j] = begun[j] + h * ahead[stage] * rate[j];
    if (!calculate(car->real, rate)) return 0;
    for (int j = 0; j < STATES; j++) sum[j] += weight[stage] * rate[j];
  }
  for (int j = 0; j < STATES; j++) x[j] = begun[j] + h * sum[j];
  return 1;
}

static fmi2Status show(fmi2Component c, int possible) {
  double rate[STATES];
  if (possible && calculate(CAR->real, rate)) return fmi2OK;
  const fmi2CallbackFunctions *back = ((Instance *)c)->callbacks;
  back->logger(back->componentEnvironment, "vehicle", fmi2Error, "logStatusError", "the battery can't give the power that is asked of it");
  return fmi2Error;
}

const char *fmi2GetVersion(void) { return fmi2Version; }
const char *fmi2GetTypesPlatform(void) { return fmi2TypesPlatform; }
fmi2Status fmi2SetDebugLogging(fmi2Component c, fmi2Boolean on, size_t n, const fmi2String names[]) { return fmi2OK; }
fmi2Component fmi2Instantiate(fmi2String name, fmi2Type type, fmi2String token, fmi2String resources, const fmi2CallbackFunctions *callbacks,
                              fmi2Boolean visible, fmi2Boolean logging) {
  if (type != fmi2CoSimulation || strcmp(token, "{twinwright-vehicle-1}")) return NULL;
  Instance *instance = calloc(1, sizeof *instance);
  if (!instance) return NULL;
  instance->callbacks = callbacks;
  start(&instance->car);
  return instance;
}
void fmi2FreeInstance(fmi2Component c) { free(c); }
fmi2Status fmi2SetupExperiment(fmi2Component c, fmi2Boolean known, fmi2Real tolerance, fmi2Real begin, fmi2Boolean ends, fmi2Real stop) {
  CAR->time = begin;
  return fmi2OK;
}
fmi2Status fmi2EnterInitializationMode(fmi2Component c) { return fmi2OK; }
fmi2Status fmi2ExitInitializationMode(fmi2Component c) {
  CAR->real[SOC] = CAR->real[SOC_0];
  return show(c, 1);
}
fmi2Status fmi2Terminate(fmi2Component c) { return fmi2OK; }
fmi2Status fmi2Reset(fmi2Component c) {
  start(CAR);
  return fmi2OK;
}

fmi2Status fmi2GetReal(fmi2Component c, const fmi2ValueReference references[], size_t n, fmi2Real values[]) {
  for (size_t k = 0; k < n; k++) {
    if (references[k] >= REALS) return fmi2Error;
    values[k] = CAR->real[references[k]];
  }
  return fmi2OK;
}
fmi2Status fmi2SetReal(fmi2Component c, const fmi2ValueReference references[], size_t n, const fmi2Real values[]) {
  for (size_t k = 0; k < n; k++) {
    if (references[k] >= REALS) return fmi2Error;
    CAR->real[references[k]] = values[k];
  }
  return fmi2OK;
}
fmi2Status fmi2DoStep(fmi2Component c, fmi2Real time, fmi2Real span, fmi2Boolean keep) {
  int steps = (int)ceil(span / STEP - 1e-9), possible = 1;
  if (steps < 1) steps = 1;
  for (int s = 0; s < steps && possible; s++) possible = step(CAR, span / steps);
  CAR->time = time + span;
  return show(c, possible);
}
fmi2Status fmi2CancelStep(fmi2Component c) { return fmi2Error; }

fmi2Status fmi2GetFMUstate(fmi2Component c, fmi2FMUstate *state) {
  if (!*state) *state = malloc(sizeof(Car));
  if (!*state) return fmi2Error;
  memcpy(*state, CAR, sizeof(Car));
  return fmi2OK;
}
fmi2Status fmi2SetFMUstate(fmi2Component c, fmi2FMUstate state) {
  memcpy(CAR, state, sizeof(Car));
  return fmi2OK;
}
fmi2Status fmi2FreeFMUstate(fmi2Component c, fmi2FMUstate *state) {
  free(*state);
  *state = NULL;
  return fmi2OK;
}
fmi2Status fmi2SerializedFMUstateSize(fmi2Component c, fmi2FMUstate state, size_t *size) {
  *size = sizeof(Car);
  return fmi2OK;
}
fmi2Status fmi2SerializeFMUstate(fmi2Component c, fmi2FMUstate state, fmi2Byte bytes[], size_t size) {
  memcpy(bytes, state, sizeof(Car));
  return fmi2OK;
}
fmi2Status fmi2DeSerializeFMUstate(fmi2Component c, const fmi2Byte bytes[], size_t size, fmi2FMUstate *state) {
  if (size != sizeof(Car)) return fmi2Error;
  if (!*state) *state = malloc(sizeof(Car));
  if (!*state) return fmi2Error;
  memcpy(*state, bytes, size);
  return fmi2OK;
}
