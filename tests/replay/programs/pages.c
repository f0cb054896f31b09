/* A program of a few system calls and loops, without a C library, so that its trace is small. */
typedef unsigned long word;
static long call(long n, long a, long b, long c, long d, long e, long f)
{
	register long r10 asm("r10") = d, r8 asm("r8") = e, r9 asm("r9") = f;
	long r;
	asm volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
		     : "rcx", "r11", "memory");
	return r;
}
#define PAGE 4096
static volatile word sink;
static void look(char *p, long first, long last, long step)
{
	for (long i = first; i < last; i += step)
		sink += *(volatile word *)(p + i * PAGE);
}
static void change(char *p, long first, long last, long step)
{
	for (long i = first; i < last; i += step)
		*(volatile word *)(p + i * PAGE) += 1;
}
void _start(void)
{
	long fd = call(2, (long)"data", 0, 0, 0, 0, 0);
	char *file = (char *)call(9, 0, 256 * PAGE, 1, 2, fd, 0);
	char *copy = (char *)call(9, 0, 256 * PAGE, 3, 2, fd, 0);
	char *anon = (char *)call(9, 0, 512 * PAGE, 3, 0x22, -1, 0);
	for (int round = 0; round < 20; round++) {
		look(file, 0, 64, 1);         /* every page: fault-around saves 15 of 16 */
		look(file, 64, 256, 16);      /* one page of 16: it saves nothing */
	}
	look(copy, 0, 32, 2);
	change(copy, 0, 32, 1);               /* COW, of half the pages behind a read fault */
	look(anon, 0, 16, 1);                 /* the zero page */
	change(anon, 0, 512, 1);
	for (int round = 0; round < 4; round++)
		look(anon, 0, 512, 1);
	call(10, (long)anon, 64 * PAGE, 1, 0, 0, 0);       /* mprotect, read only */
	look(anon, 0, 64, 1);
	call(28, (long)(anon + 64 * PAGE), 64 * PAGE, 4, 0, 0, 0);   /* MADV_DONTNEED */
	change(anon, 64, 128, 1);
	call(11, (long)copy, 256 * PAGE, 0, 0, 0, 0);      /* munmap */
	call(25, (long)(anon + 128 * PAGE), 384 * PAGE, 768 * PAGE, 1, 0, 0);   /* mremap */
	call(231, 0, 0, 0, 0, 0, 0);
}
