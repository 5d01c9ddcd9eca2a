/* A wall clock that is so many seconds ahead of the machine's as TEST_CLOCK_FILE says (a native
 * 64-bit integer), for a process that is started with this in LD_PRELOAD. What measures lengths,
 * CLOCK_MONOTONIC, stays as it is. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *ahead;

/* Mapped and shared: what the test writes is in force at once, without a call. */
__attribute__((constructor)) static void find(void)
{
    const char *path = getenv("TEST_CLOCK_FILE");
    int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return;
    void *found = mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (found != MAP_FAILED)
        ahead = found;
}

int clock_gettime(clockid_t id, struct timespec *now)
{
    /* Not the C library's, which is this one. */
    int failed = syscall(SYS_clock_gettime, id, now);
    if (!failed && ahead != NULL && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        now->tv_sec += *ahead;
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec found;
    int failed = clock_gettime(CLOCK_REALTIME, &found);
    (void)zone;
    if (!failed) {
        now->tv_sec = found.tv_sec;
        now->tv_usec = found.tv_nsec / 1000;
    }
    return failed;
}

time_t time(time_t *to)
{
    struct timespec found;
    if (clock_gettime(CLOCK_REALTIME, &found))
        return -1;
    if (to != NULL)
        *to = found.tv_sec;
    return found.tv_sec;
}
