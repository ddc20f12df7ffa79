/* What a model gives to fmi2.c and fmi3.c, which make an FMU of it: one for model exchange and for co-simulation.
 *
 * All that a model remembers is in one plain struct, so that its state is saved by copying it. Value references: reals are
 * 0, 1, ..., whole numbers 100 ..., texts 200 ... and, in FMI 2.0, where each type counts for itself, these less 0, 100, 200. */
#ifndef MODEL_H
#define MODEL_H
#include <stddef.h>
#include <stdint.h>

enum { REALS = 64, WHOLES = 16, TEXTS = 8, TEXT_BYTES = 256, FIRST_WHOLE = 100, FIRST_TEXT = 200 };

typedef struct {
  double time;
  double real[REALS];
  int64_t whole[WHOLES];
  char text[TEXTS][TEXT_BYTES];
  size_t size[TEXTS]; /* bytes of each text */
  double z[8];        /* indicators at the end of the last step */
  double next_event;  /* infinite for none */
} Model;

extern const char *const model_token;
extern const int model_states, model_indicators;      /* how many */
extern const int model_state[], model_derivative[];   /* which reals they are */
extern const double model_internal_step;              /* the longest step of co-simulation, in seconds */

void model_start(Model *m);                           /* start values, as in the description */
void model_initialise(Model *m);                      /* after start values have been set */
void model_calculate(Model *m);                       /* derivatives and outputs from states, inputs and time */
void model_indicate(const Model *m, double z[]);      /* event indicators */
int model_event(Model *m);                            /* discrete changes; whether continuous states were changed */
int model_step(Model *m, double end);                 /* before each step of co-simulation: 0, or a status to answer */
int model_elements(uint32_t reference, const Model *m); /* how many elements a variable has (FMI 3.0); 0: no such variable */
int model_element(uint32_t reference, int element);   /* which real or whole number an element of a variable is */
#endif
