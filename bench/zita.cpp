// A plain C face for zita-convolver (F. Adriaensen, version 4), for bench/zita.py to load.
#include <cstring>
#include <sched.h>
#include <unistd.h>
#include <zita-convolver.h>

namespace {
struct Engine {
    Convproc process;
    unsigned n_in, n_out, quantum;
};

// Until the thread of a level runs, zita computes that level in the caller, and what it gives then is wrong: wait for all
// of them. (Compiled without access control, because zita does not tell.)
bool threads_run(const Convproc &process)
{
    for (unsigned k = 1; k < process._nlevels; k++)
        for (int tries = 0; process._convlev[k]->_stat != Convlevel::ST_PROC; tries++) {
            if (tries == 5000) return false;
            usleep(1000);
        }
    return true;
}

// Wait for what the threads are still computing, so that it is counted where it belongs.
void settle(const Convproc &process)
{
    for (unsigned k = 1; k < process._nlevels; k++)
        for (int done = 0; done < process._convlev[k]->_wait;) {
            sem_getvalue(&process._convlev[k]->_done._sema, &done);
            if (done < process._convlev[k]->_wait) usleep(50);
        }
}
}  // namespace

extern "C" {

// h is (n_in, n_out, n_taps). Returns nullptr when zita refuses.
void *engine_open(unsigned n_in, unsigned n_out, unsigned n_taps, float *h, unsigned quantum, unsigned min_part,
                  unsigned max_part, float density, unsigned options)
{
    Engine *engine = new Engine{{}, n_in, n_out, quantum};
    engine->process.set_options(options);
    bool good = !engine->process.configure(n_in, n_out, n_taps, quantum, min_part, max_part, density);
    for (unsigned i = 0; good && i < n_in; i++)
        for (unsigned o = 0; good && o < n_out; o++)
            good = !engine->process.impdata_create(i, o, 1, h + (size_t)(i * n_out + o) * n_taps, 0, (int)n_taps);
    if (good) good = !engine->process.start_process(0, SCHED_OTHER);
    if (good && threads_run(engine->process)) return engine;
    delete engine;
    return nullptr;
}

// x is (n_in, n), y is (n_out, n), n a multiple of the quantum. Returns 0, or zita's flags of the cycle that went wrong.
int engine_run(void *handle, const float *x, float *y, size_t n)
{
    Engine *engine = static_cast<Engine *>(handle);
    const size_t bytes = engine->quantum * sizeof(float);
    for (size_t at = 0; at < n; at += engine->quantum) {
        for (unsigned i = 0; i < engine->n_in; i++) memcpy(engine->process.inpdata(i), x + i * n + at, bytes);
        // Synchronous: waits for the threads of the larger partitions, so that nothing is ever late or left out.
        if (int flags = engine->process.process(true)) return flags;
        for (unsigned o = 0; o < engine->n_out; o++) memcpy(y + o * n + at, engine->process.outdata(o), bytes);
    }
    settle(engine->process);
    return 0;
}

void engine_close(void *handle)
{
    Engine *engine = static_cast<Engine *>(handle);
    engine->process.stop_process();
    engine->process.cleanup();
    delete engine;
}

}  // extern "C"
