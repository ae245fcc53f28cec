// Sets the wall clock of a program that preloads it: ahead of the system's by as many
// nanoseconds as the file REDISTEST_CLOCK holds, an int64_t in the machine's byte order.
// Whatever is written to that file counts at once. The monotonic clock stays as it is.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *ahead; // NULL until the program's libraries are loaded

__attribute__((constructor)) static void map_file(void) {
	const char *name = getenv("REDISTEST_CLOCK");
	int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
	void *at = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, file, 0);
	if (at == MAP_FAILED) {
		perror("map the file in REDISTEST_CLOCK");
		_exit(1);
	}
	close(file);
	ahead = at;
}

int clock_gettime(clockid_t id, struct timespec *ts) {
	// By the system call, since the C library's own clock_gettime is this one.
	if (syscall(SYS_clock_gettime, id, ts) != 0) return -1;
	if (ahead && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
		const int64_t second = 1000000000, by = *ahead;
		int64_t ns = ts->tv_nsec + by % second;
		ts->tv_sec += by / second;
		if (ns < 0) ts->tv_sec--, ns += second;
		if (ns >= second) ts->tv_sec++, ns -= second;
		ts->tv_nsec = ns;
	}
	return 0;
}

int gettimeofday(struct timeval *restrict tv, void *restrict tz) {
	(void)tz; // obsolete: nobody passes one
	struct timespec ts;
	if (clock_gettime(CLOCK_REALTIME, &ts) != 0) return -1;
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *t) {
	struct timespec ts;
	if (clock_gettime(CLOCK_REALTIME, &ts) != 0) return -1;
	if (t) *t = ts.tv_sec;
	return ts.tv_sec;
}
