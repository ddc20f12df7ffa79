/* The C interface of FMI 2.0 for Model Exchange and Co-Simulation: types, and the functions that an FMU defines.
 * Written from the specification (version 2.0.4, chapters 2.1, 3.2, 4.2). */
#ifndef fmi2Functions_h
#define fmi2Functions_h
#include <stddef.h>

#define fmi2Version "2.0"
#define fmi2TypesPlatform "default"
#define fmi2True 1
#define fmi2False 0

typedef void *fmi2Component;
typedef void *fmi2ComponentEnvironment;
typedef void *fmi2FMUstate;
typedef unsigned int fmi2ValueReference;
typedef double fmi2Real;
typedef int fmi2Integer;
typedef int fmi2Boolean;
typedef char fmi2Char;
typedef const fmi2Char *fmi2String;
typedef char fmi2Byte;

typedef enum { fmi2OK, fmi2Warning, fmi2Discard, fmi2Error, fmi2Fatal, fmi2Pending } fmi2Status;
typedef enum { fmi2ModelExchange, fmi2CoSimulation } fmi2Type;
typedef enum { fmi2DoStepStatus, fmi2PendingStatus, fmi2LastSuccessfulTime, fmi2Terminated } fmi2StatusKind;

typedef void (*fmi2CallbackLogger)(fmi2ComponentEnvironment, fmi2String, fmi2Status, fmi2String, fmi2String, ...);
typedef void *(*fmi2CallbackAllocateMemory)(size_t, size_t);
typedef void (*fmi2CallbackFreeMemory)(void *);
typedef void (*fmi2StepFinished)(fmi2ComponentEnvironment, fmi2Status);

typedef struct {
  const fmi2CallbackLogger logger;
  const fmi2CallbackAllocateMemory allocateMemory;
  const fmi2CallbackFreeMemory freeMemory;
  const fmi2StepFinished stepFinished;
  const fmi2ComponentEnvironment componentEnvironment;
} fmi2CallbackFunctions;

typedef struct {
  fmi2Boolean newDiscreteStatesNeeded;
  fmi2Boolean terminateSimulation;
  fmi2Boolean nominalsOfContinuousStatesChanged;
  fmi2Boolean valuesOfContinuousStatesChanged;
  fmi2Boolean nextEventTimeDefined;
  fmi2Real nextEventTime;
} fmi2EventInfo;

/* Where sources are linked statically, each name gets the prefix of its model. */
#define fmi2Paste(a, b) a##b
#define fmi2PasteB(a, b) fmi2Paste(a, b)
#ifdef FMI2_FUNCTION_PREFIX
#define fmi2FullName(name) fmi2PasteB(FMI2_FUNCTION_PREFIX, name)
#else
#define fmi2FullName(name) name
#endif

#ifdef FMI2_FUNCTION_PREFIX
#define fmi2GetTypesPlatform fmi2FullName(fmi2GetTypesPlatform)
#define fmi2GetVersion fmi2FullName(fmi2GetVersion)
#define fmi2SetDebugLogging fmi2FullName(fmi2SetDebugLogging)
#define fmi2Instantiate fmi2FullName(fmi2Instantiate)
#define fmi2FreeInstance fmi2FullName(fmi2FreeInstance)
#define fmi2SetupExperiment fmi2FullName(fmi2SetupExperiment)
#define fmi2EnterInitializationMode fmi2FullName(fmi2EnterInitializationMode)
#define fmi2ExitInitializationMode fmi2FullName(fmi2ExitInitializationMode)
#define fmi2Terminate fmi2FullName(fmi2Terminate)
#define fmi2Reset fmi2FullName(fmi2Reset)
#define fmi2GetReal fmi2FullName(fmi2GetReal)
#define fmi2GetInteger fmi2FullName(fmi2GetInteger)
#define fmi2GetBoolean fmi2FullName(fmi2GetBoolean)
#define fmi2GetString fmi2FullName(fmi2GetString)
#define fmi2SetReal fmi2FullName(fmi2SetReal)
#define fmi2SetInteger fmi2FullName(fmi2SetInteger)
#define fmi2SetBoolean fmi2FullName(fmi2SetBoolean)
#define fmi2SetString fmi2FullName(fmi2SetString)
#define fmi2GetFMUstate fmi2FullName(fmi2GetFMUstate)
#define fmi2SetFMUstate fmi2FullName(fmi2SetFMUstate)
#define fmi2FreeFMUstate fmi2FullName(fmi2FreeFMUstate)
#define fmi2SerializedFMUstateSize fmi2FullName(fmi2SerializedFMUstateSize)
#define fmi2SerializeFMUstate fmi2FullName(fmi2SerializeFMUstate)
#define fmi2DeSerializeFMUstate fmi2FullName(fmi2DeSerializeFMUstate)
#define fmi2GetDirectionalDerivative fmi2FullName(fmi2GetDirectionalDerivative)
#define fmi2EnterEventMode fmi2FullName(fmi2EnterEventMode)
#define fmi2NewDiscreteStates fmi2FullName(fmi2NewDiscreteStates)
#define fmi2EnterContinuousTimeMode fmi2FullName(fmi2EnterContinuousTimeMode)
#define fmi2CompletedIntegratorStep fmi2FullName(fmi2CompletedIntegratorStep)
#define fmi2SetTime fmi2FullName(fmi2SetTime)
#define fmi2SetContinuousStates fmi2FullName(fmi2SetContinuousStates)
#define fmi2GetDerivatives fmi2FullName(fmi2GetDerivatives)
#define fmi2GetEventIndicators fmi2FullName(fmi2GetEventIndicators)
#define fmi2GetContinuousStates fmi2FullName(fmi2GetContinuousStates)
#define fmi2GetNominalsOfContinuousStates fmi2FullName(fmi2GetNominalsOfContinuousStates)
#define fmi2SetRealInputDerivatives fmi2FullName(fmi2SetRealInputDerivatives)
#define fmi2GetRealOutputDerivatives fmi2FullName(fmi2GetRealOutputDerivatives)
#define fmi2DoStep fmi2FullName(fmi2DoStep)
#define fmi2CancelStep fmi2FullName(fmi2CancelStep)
#define fmi2GetStatus fmi2FullName(fmi2GetStatus)
#define fmi2GetRealStatus fmi2FullName(fmi2GetRealStatus)
#define fmi2GetIntegerStatus fmi2FullName(fmi2GetIntegerStatus)
#define fmi2GetBooleanStatus fmi2FullName(fmi2GetBooleanStatus)
#define fmi2GetStringStatus fmi2FullName(fmi2GetStringStatus)
#endif

#ifndef FMI2_Export
#define FMI2_Export __attribute__((visibility("default")))
#endif
#ifdef __cplusplus
extern "C" {
#endif

FMI2_Export const char *fmi2GetTypesPlatform(void);
FMI2_Export const char *fmi2GetVersion(void);
FMI2_Export fmi2Status fmi2SetDebugLogging(fmi2Component, fmi2Boolean, size_t, const fmi2String[]);
FMI2_Export fmi2Component fmi2Instantiate(fmi2String, fmi2Type, fmi2String, fmi2String, const fmi2CallbackFunctions *, fmi2Boolean, fmi2Boolean);
FMI2_Export void fmi2FreeInstance(fmi2Component);
FMI2_Export fmi2Status fmi2SetupExperiment(fmi2Component, fmi2Boolean, fmi2Real, fmi2Real, fmi2Boolean, fmi2Real);
FMI2_Export fmi2Status fmi2EnterInitializationMode(fmi2Component);
FMI2_Export fmi2Status fmi2ExitInitializationMode(fmi2Component);
FMI2_Export fmi2Status fmi2Terminate(fmi2Component);
FMI2_Export fmi2Status fmi2Reset(fmi2Component);
FMI2_Export fmi2Status fmi2GetReal(fmi2Component, const fmi2ValueReference[], size_t, fmi2Real[]);
FMI2_Export fmi2Status fmi2GetInteger(fmi2Component, const fmi2ValueReference[], size_t, fmi2Integer[]);
FMI2_Export fmi2Status fmi2GetBoolean(fmi2Component, const fmi2ValueReference[], size_t, fmi2Boolean[]);
FMI2_Export fmi2Status fmi2GetString(fmi2Component, const fmi2ValueReference[], size_t, fmi2String[]);
FMI2_Export fmi2Status fmi2SetReal(fmi2Component, const fmi2ValueReference[], size_t, const fmi2Real[]);
FMI2_Export fmi2Status fmi2SetInteger(fmi2Component, const fmi2ValueReference[], size_t, const fmi2Integer[]);
FMI2_Export fmi2Status fmi2SetBoolean(fmi2Component, const fmi2ValueReference[], size_t, const fmi2Boolean[]);
FMI2_Export fmi2Status fmi2SetString(fmi2Component, const fmi2ValueReference[], size_t, const fmi2String[]);
FMI2_Export fmi2Status fmi2GetFMUstate(fmi2Component, fmi2FMUstate *);
FMI2_Export fmi2Status fmi2SetFMUstate(fmi2Component, fmi2FMUstate);
FMI2_Export fmi2Status fmi2FreeFMUstate(fmi2Component, fmi2FMUstate *);
FMI2_Export fmi2Status fmi2SerializedFMUstateSize(fmi2Component, fmi2FMUstate, size_t *);
FMI2_Export fmi2Status fmi2SerializeFMUstate(fmi2Component, fmi2FMUstate, fmi2Byte[], size_t);
FMI2_Export fmi2Status fmi2DeSerializeFMUstate(fmi2Component, const fmi2Byte[], size_t, fmi2FMUstate *);
FMI2_Export fmi2Status fmi2GetDirectionalDerivative(fmi2Component, const fmi2ValueReference[], size_t, const fmi2ValueReference[], size_t,
                                                    const fmi2Real[], fmi2Real[]);
FMI2_Export fmi2Status fmi2EnterEventMode(fmi2Component);
FMI2_Export fmi2Status fmi2NewDiscreteStates(fmi2Component, fmi2EventInfo *);
FMI2_Export fmi2Status fmi2EnterContinuousTimeMode(fmi2Component);
FMI2_Export fmi2Status fmi2CompletedIntegratorStep(fmi2Component, fmi2Boolean, fmi2Boolean *, fmi2Boolean *);
FMI2_Export fmi2Status fmi2SetTime(fmi2Component, fmi2Real);
FMI2_Export fmi2Status fmi2SetContinuousStates(fmi2Component, const fmi2Real[], size_t);
FMI2_Export fmi2Status fmi2GetDerivatives(fmi2Component, fmi2Real[], size_t);
FMI2_Export fmi2Status fmi2GetEventIndicators(fmi2Component, fmi2Real[], size_t);
FMI2_Export fmi2Status fmi2GetContinuousStates(fmi2Component, fmi2Real[], size_t);
FMI2_Export fmi2Status fmi2GetNominalsOfContinuousStates(fmi2Component, fmi2Real[], size_t);
FMI2_Export fmi2Status fmi2SetRealInputDerivatives(fmi2Component, const fmi2ValueReference[], size_t, const fmi2Integer[], const fmi2Real[]);
FMI2_Export fmi2Status fmi2GetRealOutputDerivatives(fmi2Component, const fmi2ValueReference[], size_t, const fmi2Integer[], fmi2Real[]);
FMI2_Export fmi2Status fmi2DoStep(fmi2Component, fmi2Real, fmi2Real, fmi2Boolean);
FMI2_Export fmi2Status fmi2CancelStep(fmi2Component);
FMI2_Export fmi2Status fmi2GetStatus(fmi2Component, const fmi2StatusKind, fmi2Status *);
FMI2_Export fmi2Status fmi2GetRealStatus(fmi2Component, const fmi2StatusKind, fmi2Real *);
FMI2_Export fmi2Status fmi2GetIntegerStatus(fmi2Component, const fmi2StatusKind, fmi2Integer *);
FMI2_Export fmi2Status fmi2GetBooleanStatus(fmi2Component, const fmi2StatusKind, fmi2Boolean *);
FMI2_Export fmi2Status fmi2GetStringStatus(fmi2Component, const fmi2StatusKind, fmi2String *);

/* The types of the functions, by which some sources declare their own. */
#define fmi2TypeOf(name) typedef __typeof__(name) name##TYPE
fmi2TypeOf(fmi2GetTypesPlatform);
fmi2TypeOf(fmi2GetVersion);
fmi2TypeOf(fmi2SetDebugLogging);
fmi2TypeOf(fmi2Instantiate);
fmi2TypeOf(fmi2FreeInstance);
fmi2TypeOf(fmi2SetupExperiment);
fmi2TypeOf(fmi2EnterInitializationMode);
fmi2TypeOf(fmi2ExitInitializationMode);
fmi2TypeOf(fmi2Terminate);
fmi2TypeOf(fmi2Reset);
fmi2TypeOf(fmi2GetReal);
fmi2TypeOf(fmi2GetInteger);
fmi2TypeOf(fmi2GetBoolean);
fmi2TypeOf(fmi2GetString);
fmi2TypeOf(fmi2SetReal);
fmi2TypeOf(fmi2SetInteger);
fmi2TypeOf(fmi2SetBoolean);
fmi2TypeOf(fmi2SetString);
fmi2TypeOf(fmi2GetFMUstate);
fmi2TypeOf(fmi2SetFMUstate);
fmi2TypeOf(fmi2FreeFMUstate);
fmi2TypeOf(fmi2SerializedFMUstateSize);
fmi2TypeOf(fmi2SerializeFMUstate);
fmi2TypeOf(fmi2DeSerializeFMUstate);
fmi2TypeOf(fmi2GetDirectionalDerivative);
fmi2TypeOf(fmi2EnterEventMode);
fmi2TypeOf(fmi2NewDiscreteStates);
fmi2TypeOf(fmi2EnterContinuousTimeMode);
fmi2TypeOf(fmi2CompletedIntegratorStep);
fmi2TypeOf(fmi2SetTime);
fmi2TypeOf(fmi2SetContinuousStates);
fmi2TypeOf(fmi2GetDerivatives);
fmi2TypeOf(fmi2GetEventIndicators);
fmi2TypeOf(fmi2GetContinuousStates);
fmi2TypeOf(fmi2GetNominalsOfContinuousStates);
fmi2TypeOf(fmi2SetRealInputDerivatives);
fmi2TypeOf(fmi2GetRealOutputDerivatives);
fmi2TypeOf(fmi2DoStep);
fmi2TypeOf(fmi2CancelStep);
fmi2TypeOf(fmi2GetStatus);
fmi2TypeOf(fmi2GetRealStatus);
fmi2TypeOf(fmi2GetIntegerStatus);
fmi2TypeOf(fmi2GetBooleanStatus);
fmi2TypeOf(fmi2GetStringStatus);

#ifdef __cplusplus
}
#endif
#endif
