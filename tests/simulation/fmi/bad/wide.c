/* Whole numbers that no double has, in an FMU that takes no steps but multiples of its own and knows nothing that it need not. */
#include "fmi3Functions.h"
#include <math.h>
#include <stdlib.h>

typedef struct {
  double time;
  int64_t given;
} Unit;

fmi3Instance fmi3InstantiateCoSimulation(fmi3String name, fmi3String token, fmi3String resources, fmi3Boolean visible, fmi3Boolean logging,
                                         fmi3Boolean events, fmi3Boolean early, const fmi3ValueReference required[], size_t n,
                                         fmi3InstanceEnvironment environment, fmi3LogMessageCallback log, fmi3IntermediateUpdateCallback update) {
  (void)name, (void)token, (void)visible, (void)logging, (void)required, (void)n, (void)environment, (void)log, (void)update;
  if (!resources || events || early) return NULL;
  return calloc(1, sizeof(Unit));
}
void fmi3FreeInstance(fmi3Instance c) { free(c); }
fmi3Status fmi3EnterInitializationMode(fmi3Instance c, fmi3Boolean tolerance, fmi3Float64 relative, fmi3Float64 start, fmi3Boolean stops,
                                       fmi3Float64 stop) {
  (void)tolerance, (void)relative, (void)stops, (void)stop;
  ((Unit *)c)->time = start;
  return fmi3OK;
}
fmi3Status fmi3ExitInitializationMode(fmi3Instance c) { return (void)c, fmi3OK; }
fmi3Status fmi3Terminate(fmi3Instance c) { return (void)c, fmi3OK; }
fmi3Status fmi3Reset(fmi3Instance c) { return (void)c, fmi3OK; }
fmi3Status fmi3SetFloat64(fmi3Instance c, const fmi3ValueReference r[], size_t n, const fmi3Float64 v[], size_t count) {
  return (void)c, (void)r, (void)n, (void)v, (void)count, fmi3Error;
}
fmi3Status fmi3GetFloat64(fmi3Instance c, const fmi3ValueReference r[], size_t n, fmi3Float64 v[], size_t count) {
  return (void)r, n == 1 && count == 1 ? v[0] = ((Unit *)c)->time, fmi3OK : fmi3Error;
}
fmi3Status fmi3SetInt64(fmi3Instance c, const fmi3ValueReference r[], size_t n, const fmi3Int64 v[], size_t count) {
  return (void)r, n == 1 && count == 1 ? ((Unit *)c)->given = v[0], fmi3OK : fmi3Error;
}
fmi3Status fmi3GetInt64(fmi3Instance c, const fmi3ValueReference r[], size_t n, fmi3Int64 v[], size_t count) {
  return (void)r, n == 1 && count == 1 ? v[0] = ((Unit *)c)->given, fmi3OK : fmi3Error;
}
fmi3Status fmi3SetUInt64(fmi3Instance c, const fmi3ValueReference r[], size_t n, const fmi3UInt64 v[], size_t count) {
  return (void)c, (void)r, (void)n, (void)v, (void)count, fmi3Error;
}
fmi3Status fmi3GetUInt64(fmi3Instance c, const fmi3ValueReference r[], size_t n, fmi3UInt64 v[], size_t count) {
  (void)c, (void)r;
  if (n != 1) return fmi3Error;
  for (size_t k = 0; k < count; k++) v[k] = UINT64_MAX - k;
  return fmi3OK;
}
fmi3Status fmi3DoStep(fmi3Instance c, fmi3Float64 t, fmi3Float64 h, fmi3Boolean keeps, fmi3Boolean *event, fmi3Boolean *ends,
                      fmi3Boolean *early, fmi3Float64 *reached) {
  (void)keeps;
  double steps = h / 0.03125;
  if (steps < 0.5 || fabs(steps - round(steps)) > 1e-6) return fmi3Error;
  *event = *ends = *early = 0;
  *reached = ((Unit *)c)->time = t + h;
  return fmi3OK;
}
