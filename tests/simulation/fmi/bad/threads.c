/* Has data of each thread. */
__thread int keeps_mine = 1;
int *keeps_thread(void) { return &keeps_mine; }
