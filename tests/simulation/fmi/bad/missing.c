/* An FMU that has next to nothing. */
__attribute__((visibility("default"))) const char *fmi2GetVersion(void) { return "2.0"; }
