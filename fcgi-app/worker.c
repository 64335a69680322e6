/* SPDX-License-Identifier: MIT
 *
 * One process that serves: it puts the loop together, starts the jobs thread, and
 * drains on SIGTERM. Threads: the loop (this one), jobs (lib/jobs.c; the only one
 * that touches the DB), and the intake's readers. They share the pool, which is
 * thread-safe, and the two queues of intake.c.
 *
 * Signals are blocked in every thread and read from a descriptor by the loop, since
 * libfcgi takes an interrupted read for a broken connection.
 */
#include "fcgi-app/responder.h"
#include "lib/await.h"
#include "lib/clock.h"
#include "lib/db.h"
#include "lib/log.h"
#include "lib/migrate.h"
#include "lib/node.h"
#include "lib/publish.h"
#include "lib/sched.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcgiapp.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* How long an exchange lasts before its client is watched for leaving, and its time
 * limits, all of them seconds, are looked after. */
#define WATCH_AFTER_MS 100
#define TEND_MS        1000
#define WARNING_MAX    4096
/* Where malloc keeps what it has: blocks of a body's size would otherwise go back
 * to the kernel and come again, a page fault a page. */
#define MALLOC_TRIM_BYTES (32 * 1024 * 1024)
#define MALLOC_MMAP_BYTES (4 * 1024 * 1024)

/* --- the pool's contents --- */

/* The pool may be empty (first start, another boot): then it is filled from the DB
 * before anything is served. And the first process of a node asks the DB whether the
 * node may serve. All others make no DB connection here, nor does one that cannot reach
 * the DB and finds that this configuration was admitted before. */
static enum err
ensure_pool(struct worker *w, struct errinfo *info)
{
	struct pool_identity id;
	struct db *db = NULL;
	uint64_t version = 0;
	enum err e = pool_identity_get(w->pool, &id);

	bool full =
	    e == ERR_OK && id.complete && pool_version(w->pool, &version) == ERR_OK && version > 0;

	if (full && node_was_admitted(w->conf, true))
		return ERR_OK;
	e = db_open(w->conf, &db, info);
	if (e == ERR_OK)
		e = migrate_run(db, w->conf, w->crypt, info);
	if (e == ERR_OK)
		e = node_admit(w->conf, db, w->pool, info);
	if (e == ERR_DB_AWAY && full && node_was_admitted(w->conf, false))
		e = ERR_OK;
	else if (e == ERR_OK)
		e = publish_ensure(w->conf, db, w->pool, info);
	db_close(db);
	return e;
}

/* --- the jobs thread --- */

static void *
jobs_main(void *arg)
{
	struct worker *w = arg;

	(void)pthread_setname_np(pthread_self(), "gpt-load jobs");
	sched_background();
	pthread_mutex_lock(&w->jobs_lock);
	while (!w->jobs_stop) {
		struct timespec until;
		int ms;

		w->jobs_poked = false;
		pthread_mutex_unlock(&w->jobs_lock);
		ms = jobs_round(w->jobs, &w->jobs_stop);
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += ms / 1000;
		until.tv_nsec += (ms % 1000) * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000L;
		until.tv_nsec %= 1000000000L;
		pthread_mutex_lock(&w->jobs_lock);
		if (!w->jobs_stop && !w->jobs_poked)
			(void)pthread_cond_timedwait(&w->jobs_wake, &w->jobs_lock, &until);
	}
	pthread_mutex_unlock(&w->jobs_lock);
	return NULL;
}

/* Also called by the pool, when it wants keys from the DB. */
static void
wake_jobs(void *arg)
{
	struct worker *w = arg;

	pthread_mutex_lock(&w->jobs_lock);
	w->jobs_poked = true;
	pthread_cond_signal(&w->jobs_wake);
	pthread_mutex_unlock(&w->jobs_lock);
}

static void
jobs_begin(struct worker *w)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	/* Whoever sets the wall clock back must not hold up the jobs. */
	check(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
	pthread_mutex_init(&w->jobs_lock, NULL);
	pthread_cond_init(&w->jobs_wake, &attr);
	pthread_condattr_destroy(&attr);
	w->jobs = jobs_new(w->conf, w->pool);
	pool_on_want(w->pool, wake_jobs, w);
	check(pthread_create(&w->jobs_thread, NULL, jobs_main, w) == 0);
}

static void
jobs_end(struct worker *w)
{
	pthread_mutex_lock(&w->jobs_lock);
	w->jobs_stop = true;
	pthread_cond_signal(&w->jobs_wake);
	pthread_mutex_unlock(&w->jobs_lock);
	pthread_join(w->jobs_thread, NULL);
	/* What this process spooled is closed by now, and can be written whole. */
	jobs_last(w->jobs);
	jobs_free(w->jobs);
	pthread_cond_destroy(&w->jobs_wake);
	pthread_mutex_destroy(&w->jobs_lock);
}

void
worker_row_written(struct worker *w)
{
	if (w->jobs == NULL || w->snapshot == NULL || w->snapshot->log_write_interval_min > 0)
		return;
	jobs_poke(w->jobs);
	wake_jobs(w);
}

/* --- timers --- */

/* Watching a client costs two system calls, and a timer is moved often, so only
 * exchanges that last have them. They are the oldest: from the newest back, up to the
 * first that is known to last. */
static void
on_watch(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;
	int64_t before = clock_mono_us() - WATCH_AFTER_MS * INT64_C(1000);
	struct exchange *x;

	(void)fd;
	(void)what;
	TAILQ_FOREACH_REVERSE(x, &w->exchanges, exchange_list, link)
	{
		if (x->started_us > before)
			continue;
		if (x->lasts)
			break;
		x->lasts = true;
		client_watch(&x->req->client);
		exchange_arm(x);
	}
	config_tick(w);
}

static void
on_tend(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	(void)fd;
	(void)what;
	gate_tend(w->gate);
	spool_tend(w->spool);
}

static struct event *
every(struct worker *w, int ms, event_callback_fn fn)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
	struct event *ev = event_new(w->base, -1, EV_PERSIST, fn, w);

	check(ev != NULL && event_add(ev, &tv) == 0);
	return ev;
}

/* --- draining --- */

void
worker_exchange_ended(struct worker *w)
{
	if (w->draining && TAILQ_EMPTY(&w->exchanges) &&
	    (w->intake == NULL || intake_is_empty(w->intake)))
		event_base_loopbreak(w->base);
}

static void
on_drain_over(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;
	struct exchange *x;

	(void)fd;
	(void)what;
	while ((x = TAILQ_FIRST(&w->exchanges)) != NULL) {
		exchange_abort(x, "the gateway is shutting down");
		/* One that waits for a client that does not read is dropped. */
		if (x == TAILQ_FIRST(&w->exchanges))
			exchange_abort(x, "the gateway is shutting down");
	}
	event_base_loopbreak(w->base);
}

static void
drain(struct worker *w)
{
	struct timeval limit = {.tv_sec = w->conf->server_graceful_shutdown_timeout_s};

	if (w->draining)
		return;
	/* Before the end of an exchange can be that of the process. */
	if (w->intake != NULL)
		intake_stop(w->intake);
	w->draining = true;
	w->drain_timer = evtimer_new(w->base, on_drain_over, w);
	event_add(w->drain_timer, &limit);
	worker_exchange_ended(w);
}

static void
on_signal(evutil_socket_t fd, short what, void *arg)
{
	struct signalfd_siginfo si;
	struct worker *w = arg;

	(void)what;
	while (read((int)fd, &si, sizeof(si)) == sizeof(si)) {
		/* Plain CGI: the server says so when the client has left, and kills what
		 * still runs seconds later. */
		if (w->intake == NULL && !TAILQ_EMPTY(&w->exchanges))
			exchange_gone(TAILQ_FIRST(&w->exchanges));
		else
			drain(w);
	}
}

/* --- putting together --- */

static void
prepare_process(void)
{
	struct rlimit limit;
	sigset_t all;

	sigfillset(&all);
	/* Faults of this program end it at once. */
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGABRT);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	mallopt(M_TRIM_THRESHOLD, MALLOC_TRIM_BYTES);
	mallopt(M_MMAP_THRESHOLD, MALLOC_MMAP_BYTES);
	mallopt(M_ARENA_MAX, 2);
	check(FCGX_Init() == 0);
	check(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

static void
end_signals(sigset_t *set)
{
	static const int ends[] = {SIGTERM, SIGINT, SIGUSR1};

	sigemptyset(set);
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		sigaddset(set, ends[i]);
}

static struct event *
watch_signals(struct worker *w)
{
	struct event *ev;
	sigset_t set;
	int fd;

	end_signals(&set);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	check(fd >= 0);
	ev = event_new(w->base, fd, EV_READ | EV_PERSIST, on_signal, w);
	check(ev != NULL && event_add(ev, NULL) == 0);
	return ev;
}

static struct event_base *
new_base(void)
{
	struct event_config *cfg = event_config_new();
	struct event_base *base;

	check(cfg != NULL);
	event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
	base = event_base_new_with_config(cfg);
	check(base != NULL);
	event_config_free(cfg);
	return base;
}

static void
warn_of_pool(struct worker *w)
{
	struct buf warning;

	buf_init(&warning, WARNING_MAX);
	pool_warning(w->pool, &warning);
	if (warning.n > 0)
		log_warn("%s", buf_text(&warning));
	buf_done(&warning);
}

static enum err
open_all(struct worker *w, struct errinfo *info)
{
	AUTO_FREE char *derived = conf_path(w->conf, CRYPT_CACHE_FILE);
	enum err e = crypt_new(&w->crypt, w->conf->encryption_key, derived, info);

	if (e == ERR_OK)
		e = pool_open(w->conf, &w->pool, info);
	if (e == ERR_OK)
		e = ensure_pool(w, info);
	if (e == ERR_OK)
		e = gate_open(w->conf, &w->gate, info);
	if (e == ERR_OK)
		e = counters_open(w->conf, w->stays, &w->counters, info);
	if (e == ERR_OK)
		e = spool_open(w->conf, &w->spool, info);
	if (w->conf->auth_key != NULL)
		sha256(str_of(w->conf->auth_key), w->auth_digest);
	if (e == ERR_OK)
		config_load(w);
	if (e == ERR_OK && w->snapshot == NULL)
		e = err_set(info, ERR_POOL, "the pool holds no configuration");
	return e;
}

static void
close_all(struct worker *w)
{
	spool_close(w->spool);
	counters_close(w->counters);
	gate_close(w->gate);
	pool_close(w->pool); /* may answer once more */
	snapshot_unref(w->snapshot);
	crypt_free(w->crypt);
}

static void
start_afresh(struct worker *w, const struct conf *conf, bool stays)
{
	*w = (struct worker){.conf = conf, .stays = stays};
	TAILQ_INIT(&w->exchanges);
	TAILQ_INIT(&w->awaiting);
}

/* false: told to end meanwhile. */
static bool
wait_ms(int ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
	sigset_t set;

	end_signals(&set);
	return sigtimedwait(&set, NULL, &ts) < 0;
}

/* Waits for a database or a Redis that is away. ERR_CLIENT_GONE: was told to end. */
static enum err
open_patiently(struct worker *w, struct errinfo *info)
{
	const struct conf *conf = w->conf;
	struct await await = {0};
	bool say;
	enum err e;

	while ((e = open_all(w, info)) != ERR_OK && await_may_come(conf, e)) {
		int ms = await_next(&await, e, info, &say);

		if (say)
			log_warn("cannot start yet, waiting: %s", err_text(info, e));
		close_all(w);
		start_afresh(w, conf, w->stays);
		info->text[0] = '\0';
		if (!wait_ms(ms))
			return ERR_CLIENT_GONE;
	}
	if (e == ERR_OK && await.said_us != 0)
		log_info("what was waited for is there");
	return e;
}

static enum err
worker_open(struct worker *w, const struct conf *conf, bool stays, struct errinfo *info)
{
	enum err e;

	prepare_process();
	start_afresh(w, conf, stays);
	/* Plain CGI has a client who waits. */
	e = stays ? open_patiently(w, info) : open_all(w, info);
	if (e != ERR_OK)
		return e;
	w->base = new_base();
	pool_attach(w->pool, w->base);
	w->breakers = breakers_new();
	w->upstreams = upstreams_new(w);
	w->signals = watch_signals(w);
	return ERR_OK;
}

static void
free_event(struct event *ev)
{
	if (ev != NULL)
		event_free(ev);
}

static void
worker_close(struct worker *w)
{
	int signal_fd = w->signals != NULL ? (int)event_get_fd(w->signals) : -1;

	intake_free(w->intake);
	free_event(w->watch_timer);
	free_event(w->tend_timer);
	free_event(w->drain_timer);
	free_event(w->signals);
	if (signal_fd >= 0)
		close(signal_fd);
	config_close(w);
	upstreams_free(w->upstreams);
	breakers_free(w->breakers);
	spool_close(w->spool);
	w->spool = NULL;
	/* Before the jobs end: the last of them finds that nobody is left. */
	gate_close(w->gate);
	w->gate = NULL;
	if (w->jobs != NULL)
		jobs_end(w);
	close_all(w);
	if (w->base != NULL)
		event_base_free(w->base);
	curl_global_cleanup();
}

static int
cannot_start(struct worker *w, enum err e, const struct errinfo *info)
{
	if (e == ERR_CLIENT_GONE) {
		worker_close(w);
		return 0;
	}
	log_error("cannot start: %s", err_text(info, e));
	worker_close(w);
	return e == ERR_CONF ? 2 : 1;
}

int
worker_run(const struct conf *conf, int fd)
{
	struct errinfo info = {""};
	struct worker w;
	enum err e = worker_open(&w, conf, true, &info);

	if (e != ERR_OK)
		return cannot_start(&w, e, &info);
	w.intake = intake_new(&w, fd);
	w.watch_timer = every(&w, WATCH_AFTER_MS, on_watch);
	w.tend_timer = every(&w, TEND_MS, on_tend);
	jobs_begin(&w);
	warn_of_pool(&w);
	log_info("serving");
	event_base_dispatch(w.base);
	worker_close(&w);
	log_info("stopped");
	return 0;
}

int
worker_run_cgi(const struct conf *conf)
{
	struct errinfo info = {""};
	struct worker w;
	enum err e = worker_open(&w, conf, false, &info);

	if (e != ERR_OK)
		return cannot_start(&w, e, &info);
	/* From here on the loop ends with the one exchange. */
	w.draining = true;
	exchange_start(&w, request_cgi(conf, environ));
	upstreams_run(w.upstreams);
	if (!TAILQ_EMPTY(&w.exchanges)) {
		w.watch_timer = every(&w, WATCH_AFTER_MS, on_watch);
		client_watch(&TAILQ_FIRST(&w.exchanges)->req->client);
		event_base_dispatch(w.base);
	}
	worker_close(&w);
	return 0;
}
