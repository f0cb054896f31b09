/* A program that `pagerace diff` found.  gcc -Wall -Werror -o program program.c && ./program
 *
 * Every process walks down the same list of steps and does those that are its own, one after
 * the other.  After each step it prints the result, and what /proc tells of each process.
 * The minor faults are those of this program, too: of its stack after a fork, for example.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096L
#define START ((uintptr_t)WINDOW_START * PAGE)
#define AT_PAGE(page) ((void *)(START + (uintptr_t)(page) * PAGE))

static struct {
	volatile int step;
	pid_t pid[PROCESSES + 1];
} *common;
static int files[FILES + 1];
static sigjmp_buf after_signal;
static volatile sig_atomic_t signal_number;
static volatile uintptr_t signal_address;
static long minor_before;
static int me; /* the number of this process */

static void on_signal(int number, siginfo_t *info, void *context)
{
	(void)context;
	signal_number = number;
	signal_address = (uintptr_t)info->si_addr;
	siglongjmp(after_signal, 1);
}

static long minor_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

static int make_file(int memfd, int number, int pages, int written_in, int writable)
{
	char path[] = "/tmp/x-XXXXXX", other[64];
	int fd = memfd ? memfd_create("pagerace", 0) : mkstemp(path);
	char *buffer = calloc(written_in, PAGE);

	for (int first = 0; first < pages; first += written_in) {
		int count = pages - first < written_in ? pages - first : written_in;

		for (int i = 0; i < count; i++)
			*(int64_t *)(buffer + i * PAGE) = (number + 1) * 1000000L + first + i + 1;
		if (pwrite(fd, buffer, count * PAGE, first * PAGE) != count * PAGE)
			perror("pwrite");
	}
	free(buffer);
	if (!memfd)
		fsync(fd);
	if (!writable) {
		snprintf(other, sizeof(other), "/proc/self/fd/%d", fd);
		int again = open(other, O_RDONLY);
		close(fd);
		fd = again;
	}
	if (!memfd)
		unlink(path);
	return fd;
}

static void show_pages(int number, pid_t pid)
{
	char path[64];
	uint64_t entries[WINDOW];
	int64_t content;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	int fd = open(path, O_RDONLY);
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	int memory = open(path, O_RDONLY);

	memset(entries, 0, sizeof(entries));
	if (pread(fd, entries, sizeof(entries), START / PAGE * 8) < 0)
		perror("pagemap");
	for (int page = 0; page < WINDOW; page++) {
		if (!(entries[page] >> 62))
			continue;
		content = -1;
		if (pread(memory, &content, 8, START + page * PAGE) < 0)
			content = -1;
		printf("    process %d page %d:%s%s%s%s content %ld\n", number, page,
		       entries[page] >> 63 ? " present" : "",
		       entries[page] >> 62 & 1 ? " swapped" : "",
		       entries[page] >> 61 & 1 ? " file" : "",
		       entries[page] >> 56 & 1 ? " exclusive" : "", (long)content);
	}
	close(memory);
	close(fd);
}

static void show_mappings(int number, pid_t pid)
{
	char line[512], path[64], perms[8], name[32];
	unsigned long start, end, offset, value;
	int inside = 0;

	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	FILE *file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx %7s %lx", &start, &end, perms, &offset) == 4) {
			inside = start >= START && start < START + WINDOW * PAGE;
			if (inside)
				printf("    process %d mapping %ld-%ld %s", number,
				       (long)((start - START) / PAGE), (long)((end - START) / PAGE), perms);
		} else if (inside && sscanf(line, "%31[A-Za-z_]: %lu kB", name, &value) == 2) {
			if (value && strncmp(name, "KernelPage", 10) && strncmp(name, "MMUPage", 7))
				printf(" %s %lu", name, value);
		} else if (inside && !strncmp(line, "VmFlags:", 8)) {
			printf(" %s", line);
		}
	}
	if (file)
		fclose(file);
}

/* mincore(): what it told of pages is printed behind the result. */
static unsigned char told[4096];
static long told_pages;

static long pages_in_memory(void *first, long pages)
{
	memset(told, 0xff, sizeof(told));
	told_pages = pages;
	return mincore(first, pages * PAGE, told);
}

static void show_told(void)
{
	if (told_pages)
		printf("    mincore ");
	for (long i = 0; i < told_pages && told[i] != 0xff; i++)
		putchar('0' + (told[i] & 1));
	if (told_pages)
		putchar('\n');
	told_pages = 0;
}

static void done(int step, const char *text, long result, int error)
{
	long minor = minor_faults() - minor_before;

	printf("%d %s = ", step, text);
	if (signal_number)
		printf("%s at page %ld", signal_number == SIGBUS ? "SIGBUS" : "SIGSEGV",
		       (long)(signal_address - START) / PAGE);
	else if (error)
		printf("-1 %s", strerror(error));
	else
		printf("%ld", result);
	printf(", %ld minor faults\n", minor);
	signal_number = 0;
	show_told();
	for (int number = 0; number < PROCESSES; number++) {
		if (common->pid[number]) {
			show_pages(number, common->pid[number]);
			show_mappings(number, common->pid[number]);
		}
	}
	fflush(stdout);
	common->step = step + 1;
}

/* An address of the window as a page; what lies elsewhere is unmapped there. */
static long address(void *result, long pages)
{
	uintptr_t found = (uintptr_t)result;

	if (result == MAP_FAILED)
		return -1;
	if (found >= START && found < START + WINDOW * PAGE)
		return (long)(found - START) / PAGE;
	munmap(result, pages * PAGE);
	return 1L << 40;
}

static long read_page(int fd, long index)
{
	char buffer[PAGE];

	ssize_t size = pread(fd, buffer, PAGE, index * PAGE);
	if (size < 0)
		return -1;
	return size == 0 ? -(1L << 62) : *(int64_t *)buffer;
}

static long write_page(int fd, long index, int64_t value)
{
	static char buffer[PAGE];

	*(int64_t *)buffer = value;
	ssize_t size = pwrite(fd, buffer, PAGE, index * PAGE);
	return size < 0 ? -1 : size / PAGE;
}

/* A file that is not there is no file. */
static int file(int number)
{
	return number >= 0 && number < FILES ? files[number] : -1;
}

static int wait_for(int step)
{
	while (common->step != step)
		sched_yield();
	errno = 0;
	minor_before = minor_faults();
	return 1;
}

#define STEP(number, actor, text, call)                                            \
	do {                                                                           \
		if (me == (actor) && wait_for(number)) {                                   \
			volatile long result = 0;                                              \
			if (!sigsetjmp(after_signal, 1))                                       \
				result = (call);                                                   \
			done(number, text, result, signal_number || result != -1 ? 0 : errno); \
		}                                                                          \
	} while (0)
#define FORK(number, actor, child)                                                 \
	do {                                                                           \
		if (me == (actor) && wait_for(number)) {                                   \
			fflush(stdout);                                                        \
			pid_t pid = fork();                                                    \
			if (!pid) {                                                            \
				me = child;                                                        \
			} else {                                                               \
				common->pid[child] = pid;                                          \
				done(number, "fork()", child, 0);                                  \
			}                                                                      \
		}                                                                          \
	} while (0)
#define EXIT(number, actor, parent)                                                \
	do {                                                                           \
		if (me == (actor) && wait_for(number))                                     \
			_exit(0);                                                              \
		if (me == (parent) && wait_for(number)) {                                  \
			waitpid(common->pid[actor], NULL, 0);                                  \
			common->pid[actor] = 0;                                                \
			done(number, "process " #actor " exits", 0, 0);                        \
		}                                                                          \
	} while (0)

static void set_up(void)
{
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	common = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	common->pid[0] = getpid();
	for (int i = 0; i < FILES + 1; i++)
		files[i] = -1;
}
