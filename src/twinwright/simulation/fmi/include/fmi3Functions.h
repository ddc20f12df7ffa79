/* The C interface of FMI 3.0: types, and the functions that an FMU defines.
 * Written from the specification (version 3.0.1, chapters 2.2, 3, 4, 5). */
#ifndef fmi3Functions_h
#define fmi3Functions_h
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define fmi3Version "3.0"
#define fmi3True true
#define fmi3False false
#define fmi3ClockActive true
#define fmi3ClockInactive false

typedef void *fmi3Instance;
typedef void *fmi3InstanceEnvironment;
typedef void *fmi3FMUState;
typedef uint32_t fmi3ValueReference;
typedef float fmi3Float32;
typedef double fmi3Float64;
typedef int8_t fmi3Int8;
typedef uint8_t fmi3UInt8;
typedef int16_t fmi3Int16;
typedef uint16_t fmi3UInt16;
typedef int32_t fmi3Int32;
typedef uint32_t fmi3UInt32;
typedef int64_t fmi3Int64;
typedef uint64_t fmi3UInt64;
typedef bool fmi3Boolean;
typedef char fmi3Char;
typedef const fmi3Char *fmi3String;
typedef uint8_t fmi3Byte;
typedef const fmi3Byte *fmi3Binary;
typedef bool fmi3Clock;

typedef enum { fmi3OK, fmi3Warning, fmi3Discard, fmi3Error, fmi3Fatal } fmi3Status;
typedef enum { fmi3Independent, fmi3Constant, fmi3Fixed, fmi3Tunable, fmi3Discrete, fmi3Dependent } fmi3DependencyKind;
typedef enum { fmi3IntervalNotYetKnown, fmi3IntervalUnchanged, fmi3IntervalChanged } fmi3IntervalQualifier;

typedef void (*fmi3LogMessageCallback)(fmi3InstanceEnvironment, fmi3Status, fmi3String, fmi3String);
typedef void (*fmi3ClockUpdateCallback)(fmi3InstanceEnvironment);
typedef void (*fmi3IntermediateUpdateCallback)(fmi3InstanceEnvironment, fmi3Float64, fmi3Boolean, fmi3Boolean, fmi3Boolean, fmi3Boolean,
                                               fmi3Boolean *, fmi3Float64 *);
typedef void (*fmi3LockPreemptionCallback)(void);
typedef void (*fmi3UnlockPreemptionCallback)(void);

/* Where sources are linked statically, each name gets the prefix of its model. */
#define fmi3Paste(a, b) a##b
#define fmi3PasteB(a, b) fmi3Paste(a, b)
#if defined(FMI3_FUNCTION_PREFIX) && !defined(FMI3_OVERRIDE_FUNCTION_PREFIX)
#define fmi3FullName(name) fmi3PasteB(FMI3_FUNCTION_PREFIX, name)
#else
#define fmi3FullName(name) name
#endif

#ifndef FMI3_Export
#define FMI3_Export __attribute__((visibility("default")))
#endif
#ifdef __cplusplus
extern "C" {
#endif

#define fmi3Function(name, ...) FMI3_Export fmi3Status fmi3FullName(fmi3##name)(fmi3Instance, ##__VA_ARGS__)
#define fmi3Accessors(name, type) \
  fmi3Function(Get##name, const fmi3ValueReference[], size_t, type[], size_t); \
  fmi3Function(Set##name, const fmi3ValueReference[], size_t, const type[], size_t)

FMI3_Export const char *fmi3FullName(fmi3GetVersion)(void);
FMI3_Export fmi3Instance fmi3FullName(fmi3InstantiateModelExchange)(fmi3String, fmi3String, fmi3String, fmi3Boolean, fmi3Boolean,
                                                                    fmi3InstanceEnvironment, fmi3LogMessageCallback);
FMI3_Export fmi3Instance fmi3FullName(fmi3InstantiateCoSimulation)(fmi3String, fmi3String, fmi3String, fmi3Boolean, fmi3Boolean,
                                                                   fmi3Boolean, fmi3Boolean, const fmi3ValueReference[], size_t,
                                                                   fmi3InstanceEnvironment, fmi3LogMessageCallback,
                                                                   fmi3IntermediateUpdateCallback);
FMI3_Export fmi3Instance fmi3FullName(fmi3InstantiateScheduledExecution)(fmi3String, fmi3String, fmi3String, fmi3Boolean, fmi3Boolean,
                                                                         fmi3InstanceEnvironment, fmi3LogMessageCallback,
                                                                         fmi3ClockUpdateCallback, fmi3LockPreemptionCallback,
                                                                         fmi3UnlockPreemptionCallback);
FMI3_Export void fmi3FullName(fmi3FreeInstance)(fmi3Instance);
fmi3Function(SetDebugLogging, fmi3Boolean, size_t, const fmi3String[]);
fmi3Function(EnterInitializationMode, fmi3Boolean, fmi3Float64, fmi3Float64, fmi3Boolean, fmi3Float64);
fmi3Function(ExitInitializationMode);
fmi3Function(EnterEventMode);
fmi3Function(Terminate);
fmi3Function(Reset);
fmi3Accessors(Float32, fmi3Float32);
fmi3Accessors(Float64, fmi3Float64);
fmi3Accessors(Int8, fmi3Int8);
fmi3Accessors(UInt8, fmi3UInt8);
fmi3Accessors(Int16, fmi3Int16);
fmi3Accessors(UInt16, fmi3UInt16);
fmi3Accessors(Int32, fmi3Int32);
fmi3Accessors(UInt32, fmi3UInt32);
fmi3Accessors(Int64, fmi3Int64);
fmi3Accessors(UInt64, fmi3UInt64);
fmi3Accessors(Boolean, fmi3Boolean);
fmi3Accessors(String, fmi3String);
fmi3Function(GetBinary, const fmi3ValueReference[], size_t, size_t[], fmi3Binary[], size_t);
fmi3Function(SetBinary, const fmi3ValueReference[], size_t, const size_t[], const fmi3Binary[], size_t);
fmi3Function(GetClock, const fmi3ValueReference[], size_t, fmi3Clock[]);
fmi3Function(SetClock, const fmi3ValueReference[], size_t, const fmi3Clock[]);
fmi3Function(GetNumberOfVariableDependencies, fmi3ValueReference, size_t *);
fmi3Function(GetVariableDependencies, fmi3ValueReference, size_t[], fmi3ValueReference[], size_t[], fmi3DependencyKind[], size_t);
fmi3Function(GetFMUState, fmi3FMUState *);
fmi3Function(SetFMUState, fmi3FMUState);
fmi3Function(FreeFMUState, fmi3FMUState *);
fmi3Function(SerializedFMUStateSize, fmi3FMUState, size_t *);
fmi3Function(SerializeFMUState, fmi3FMUState, fmi3Byte[], size_t);
fmi3Function(DeserializeFMUState, const fmi3Byte[], size_t, fmi3FMUState *);
fmi3Function(GetDirectionalDerivative, const fmi3ValueReference[], size_t, const fmi3ValueReference[], size_t, const fmi3Float64[], size_t,
             fmi3Float64[], size_t);
fmi3Function(GetAdjointDerivative, const fmi3ValueReference[], size_t, const fmi3ValueReference[], size_t, const fmi3Float64[], size_t,
             fmi3Float64[], size_t);
fmi3Function(EnterConfigurationMode);
fmi3Function(ExitConfigurationMode);
fmi3Function(GetIntervalDecimal, const fmi3ValueReference[], size_t, fmi3Float64[], fmi3IntervalQualifier[]);
fmi3Function(GetIntervalFraction, const fmi3ValueReference[], size_t, fmi3UInt64[], fmi3UInt64[], fmi3IntervalQualifier[]);
fmi3Function(GetShiftDecimal, const fmi3ValueReference[], size_t, fmi3Float64[]);
fmi3Function(GetShiftFraction, const fmi3ValueReference[], size_t, fmi3UInt64[], fmi3UInt64[]);
fmi3Function(SetIntervalDecimal, const fmi3ValueReference[], size_t, const fmi3Float64[]);
fmi3Function(SetIntervalFraction, const fmi3ValueReference[], size_t, const fmi3UInt64[], const fmi3UInt64[]);
fmi3Function(SetShiftDecimal, const fmi3ValueReference[], size_t, const fmi3Float64[]);
fmi3Function(SetShiftFraction, const fmi3ValueReference[], size_t, const fmi3UInt64[], const fmi3UInt64[]);
fmi3Function(EvaluateDiscreteStates);
fmi3Function(UpdateDiscreteStates, fmi3Boolean *, fmi3Boolean *, fmi3Boolean *, fmi3Boolean *, fmi3Boolean *, fmi3Float64 *);
fmi3Function(EnterContinuousTimeMode);
fmi3Function(CompletedIntegratorStep, fmi3Boolean, fmi3Boolean *, fmi3Boolean *);
fmi3Function(SetTime, fmi3Float64);
fmi3Function(SetContinuousStates, const fmi3Float64[], size_t);
fmi3Function(GetContinuousStateDerivatives, fmi3Float64[], size_t);
fmi3Function(GetEventIndicators, fmi3Float64[], size_t);
fmi3Function(GetContinuousStates, fmi3Float64[], size_t);
fmi3Function(GetNominalsOfContinuousStates, fmi3Float64[], size_t);
fmi3Function(GetNumberOfEventIndicators, size_t *);
fmi3Function(GetNumberOfContinuousStates, size_t *);
fmi3Function(EnterStepMode);
fmi3Function(GetOutputDerivatives, const fmi3ValueReference[], size_t, const fmi3Int32[], fmi3Float64[], size_t);
fmi3Function(DoStep, fmi3Float64, fmi3Float64, fmi3Boolean, fmi3Boolean *, fmi3Boolean *, fmi3Boolean *, fmi3Float64 *);
fmi3Function(ActivateModelPartition, fmi3ValueReference, fmi3Float64);

#ifdef __cplusplus
}
#endif
#endif
