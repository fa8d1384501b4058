/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Capabilities given up for good, by every thread of this process. The kernel keeps them for each thread, and only a thread itself can
 * change its own: so each is interrupted by a signal, and does it in the handler.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/types.h>

#include "privileges.h"

#define MAX_THREADS 1024
#define WORD_BITS 32
#define PATIENCE_STEPS 40000
#define STEP_NS 50000

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static unsigned long long kept;
static atomic_int answers, failure;

static int capabilities(struct __user_cap_data_struct *words)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capget, &header, words) ? -errno : 0;
}

/* Of the calling thread. */
static int give_up(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct words[_LINUX_CAPABILITY_U32S_3] = {};
	int error = capabilities(words);

	if (error)
		return error;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
		return -errno;
	/* Only CAP_SETPCAP may make the bounding set smaller. Without a way to new privileges it bounds nothing any more. */
	if (words[CAP_TO_INDEX(CAP_SETPCAP)].effective & CAP_TO_MASK(CAP_SETPCAP)) {
		for (int number = 0; prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0; number++) {
			if (!(kept >> number & 1) && prctl(PR_CAPBSET_DROP, number, 0, 0, 0))
				return -errno;
		}
	}
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		words[i].permitted &= (__u32)(kept >> i * WORD_BITS);
		words[i].effective = words[i].permitted;
		words[i].inheritable = 0;
	}
	return syscall(SYS_capset, &header, words) ? -errno : 0;
}

static void interrupted(int number)
{
	int saved = errno, error = give_up();

	(void)number;
	if (error)
		atomic_store(&failure, error);
	atomic_fetch_add(&answers, 1);
	errno = saved;
}

/* Interrupt a thread and wait until it has answered; one that has ended meanwhile has nothing left to give up. */
static int ask(pid_t thread, int signal)
{
	struct timespec step = { .tv_nsec = STEP_NS };
	int before = atomic_load(&answers);

	if (syscall(SYS_tgkill, getpid(), thread, signal))
		return errno == ESRCH ? 0 : -errno;
	for (int i = 0; i < PATIENCE_STEPS; i++) {
		if (atomic_load(&answers) != before)
			return 0;
		if (syscall(SYS_tgkill, getpid(), thread, 0) && errno == ESRCH)
			return 0;
		nanosleep(&step, NULL);
	}
	return -ETIMEDOUT;
}

static int is_known(const pid_t *threads, int count, pid_t thread)
{
	for (int i = 0; i < count; i++) {
		if (threads[i] == thread)
			return 1;
	}
	return 0;
}

/* Threads that are new since the last round were made by one that had its capabilities still: until a round finds none. */
static int ask_all(pid_t *threads, int signal)
{
	int count = 0, error = 0, fresh;

	threads[count++] = (pid_t)syscall(SYS_gettid);
	do {
		DIR *tasks = opendir("/proc/self/task");
		struct dirent *entry;

		if (!tasks)
			return -errno;
		fresh = 0;
		while (!error && (entry = readdir(tasks))) {
			pid_t thread = atoi(entry->d_name);

			if (!thread || is_known(threads, count, thread))
				continue;
			if (count == MAX_THREADS) {
				error = -E2BIG;
				break;
			}
			threads[count++] = thread;
			fresh = 1;
			error = ask(thread, signal);
		}
		closedir(tasks);
	} while (fresh && !error);
	return error;
}

int hft_give_up_capabilities(unsigned long long keep)
{
	struct sigaction action = { .sa_handler = interrupted, .sa_flags = SA_RESTART }, before;
	pid_t *threads = calloc(MAX_THREADS, sizeof(*threads));
	int signal = SIGRTMAX - 1, error;

	if (!threads)
		return -ENOMEM;
	pthread_mutex_lock(&one_at_a_time);
	kept = keep;
	atomic_store(&failure, 0);
	sigfillset(&action.sa_mask);
	error = sigaction(signal, &action, &before) ? -errno : 0;
	if (!error) {
		error = ask_all(threads, signal) ?: give_up();
		error = error ?: atomic_load(&failure);
		/* The handler stays after a thread that did not answer: the signal may come yet, and would end the process. */
		if (error != -ETIMEDOUT)
			sigaction(signal, &before, NULL);
	}
	pthread_mutex_unlock(&one_at_a_time);
	free(threads);
	return error;
}
