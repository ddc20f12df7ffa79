/* A model that leaves something behind for the next instance, in the way that its parameter `way` says. */
#include "model.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { Y };
enum { WAY };
enum { NOTHING, COUNT, HEAP, FILES, OPEN_FILES, LOG_SIZE, SPY };

const char *const model_token = "{6a1d0f6e-keeps}";
const int model_states = 0, model_indicators = 0;
const int model_state[] = {0}, model_derivative[] = {0};
const double model_internal_step = INFINITY;

static int count = 41;
static int *heap;

static double lines(const char *path, int bytes) {
  FILE *file = fopen(path, "r");
  double found = 0;
  for (int c; file && (c = fgetc(file)) != EOF;) found += bytes || c == '\n';
  if (file) fclose(file);
  return found;
}

static double found(Model *m) {
  FILE *file;
  struct stat log;
  switch (m->whole[WAY]) {
  case COUNT: return ++count;
  case HEAP: return ++*(heap = heap ? heap : calloc(1, sizeof *heap));
  case FILES: file = fopen("note", "a"), fputs("x", file), fclose(file); return lines("note", 1);
  case OPEN_FILES: file = fopen("/dev/null", "r"); return fileno(file);
  case LOG_SIZE: printf("once\n"); return fstat(1, &log) ? -1 : (double)log.st_size;
  case SPY: return 1000 * lines("/proc/self/environ", 1) + lines("/proc/self/net/dev", 0) + (getenv("HOME") ? 0.5 : 0);
  }
  return 1;
}

void model_start(Model *m) { m->next_event = INFINITY; }
void model_initialise(Model *m) { m->real[Y] = found(m); }
void model_calculate(Model *m) { (void)m; }
void model_indicate(const Model *m, double z[]) { (void)m, (void)z; }
int model_event(Model *m) { return (void)m, 0; }
int model_step(Model *m, double end) { return (void)m, (void)end, 0; }
int model_elements(uint32_t reference, const Model *m) { return (void)m, reference == Y || reference == FIRST_WHOLE; }
int model_element(uint32_t reference, int element) { return (int)(reference >= FIRST_WHOLE ? reference - FIRST_WHOLE : reference) + element; }
