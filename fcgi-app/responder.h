/* SPDX-License-Identifier: MIT
 *
 * Every structure of the responder, in one place. From the client to the
 * provider and back:
 *
 *	intake ── struct request ──▶ exchange ── struct call ──▶ upstream (libcurl)
 *	                             │  ▲                            │
 *	             client ◀────────┘  └── pool, gate, breaker      │
 *	                ▲──────────────── bytes as they come ────────┘
 *
 * One thread, the loop, owns everything here from struct request on. Reader
 * threads (intake.c) only build requests; the jobs thread (worker.c) shares the
 * pool and nothing else. Nothing in the loop may block: no DB, no DNS, no disk
 * but the spool's append.
 */
#ifndef FCGI_APP_RESPONDER_H
#define FCGI_APP_RESPONDER_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "lib/arena.h"
#include "lib/channel.h"
#include "lib/conf.h"
#include "lib/counters.h"
#include "lib/crypt.h"
#include "lib/gate.h"
#include "lib/header.h"
#include "lib/jobs.h"
#include "lib/limits.h"
#include "lib/logrow.h"
#include "lib/pool.h"
#include "lib/snapshot.h"
#include "lib/spool.h"
#include "lib/sse.h"
#include "lib/usage.h"

struct breaker;
struct breakers;
struct exchange;
struct intake;
struct upstreams;

/* ------------------------------------------------------------------ worker.c */

/* One process: the loop and all it owns. */
struct worker {
	const struct conf *conf;
	struct event_base *base;
	struct pool *pool;
	struct crypt *crypt;
	struct spool *spool;
	struct gate *gate;
	struct counters *counters;
	struct breakers *breakers;
	struct upstreams *upstreams;
	struct intake *intake;                         /* NULL in plain CGI */
	struct snapshot *snapshot;                     /* the newest this worker has seen */
	bool asks_config;                              /* a newer one is on its way */
	uint64_t config_unreadable;                    /* one that this program cannot read */
	uint8_t auth_digest[SHA256_BYTES];             /* of AUTH_KEY, if it opens the proxy */
	TAILQ_HEAD(exchange_list, exchange) exchanges; /* oldest first */
	struct exchange_list awaiting;                 /* a newer configuration; config.c */
	struct event *watch_timer;
	struct event *tend_timer;
	struct event *drain_timer;
	struct event *signals;
	struct jobs *jobs; /* NULL in plain CGI */
	pthread_t jobs_thread;
	pthread_mutex_t jobs_lock;
	pthread_cond_t jobs_wake;
	atomic_bool jobs_stop;
	bool jobs_poked; /* with jobs_lock: not to sleep before another round */
	bool draining;
	bool stays; /* not plain CGI */
};

/* Serves on the listening socket `fd` until SIGTERM; the process's exit code. */
int worker_run(const struct conf *conf, int fd);
/* Serves the one request of the environment and of stdin, answers on stdout. */
int worker_run_cgi(const struct conf *conf);
/* Called when an exchange has ended and is no longer in the list. */
void worker_exchange_ended(struct worker *w);
/* A row was spooled. */
void worker_row_written(struct worker *w);

/* ------------------------------------------------------------------ config.c */

/* Reads the configuration. Failures are logged and leave w->snapshot as it was. */
void config_load(struct worker *w);
/* The version in force, without waiting for anything; 0: it cannot be told. */
uint64_t config_newest(struct worker *w);
/* If this version is newer than the exchange's: x waits for it, and fn is called once
 * w->snapshot is of this version or newer, or with there = false after two seconds or when it
 * cannot be read; perhaps before this returns. False: nothing to wait for. */
bool config_waits(struct exchange *x, uint64_t version, void (*fn)(struct exchange *x, bool there));
/* Changes the exchange over to w->snapshot: it must be routed anew. */
void config_take(struct exchange *x);
/* On a timer: looks for a newer configuration, and after those who wait. */
void config_tick(struct worker *w);
/* Nobody waits any more. */
void config_close(struct worker *w);

/* ------------------------------------------------------------------ client.c */

enum client_event {
	CLIENT_LEFT,     /* nobody will read what is still to come */
	CLIENT_WRITABLE, /* everything that waited has been written */
};

/* The way back to the web server: FastCGI records on a socket, or plain CGI's
 * stdout. Records are framed here and sent without ever blocking; libfcgi only
 * parses the request. What the socket does not take waits in `out`. */
struct client {
	int fd;
	uint16_t request_id;
	bool plain; /* CGI: no framing, blocking writes */
	bool gone;
	struct buf out; /* framed bytes not yet sent */
	size_t out_at;  /* first unsent byte of it */
	struct event event;
	short watched; /* EV_READ | EV_WRITE in force */
	void (*on_event)(void *arg, enum client_event ev);
	void *arg;
};

void client_init(struct client *c, int fd, uint16_t request_id, bool plain);
/* From now on events are told to fn(arg), from the loop only: a write that finds
 * the client gone just sets `gone`, which the caller looks at. */
void client_attach(struct client *c, struct event_base *base,
		   void (*fn)(void *arg, enum client_event ev), void *arg);
/* Starts looking out for the client leaving. Done late and for all that are old
 * enough at once: a short exchange never pays for it. */
void client_watch(struct client *c);
/* Keeps bytes of the answer to be sent with the next write or the end. */
void client_put(struct client *c, struct str bytes);
/* Sends what was kept, then these bytes, straight from where they are. */
void client_write(struct client *c, struct str bytes);
/* Nothing of the answer has been sent yet: takes back what was kept. */
void client_take_back(struct client *c);
/* Bytes still wait for the socket: write no more before CLIENT_WRITABLE. */
bool client_is_full(const struct client *c);
/* The last record, in the same write as what was kept. */
void client_finish(struct client *c);
/* Closes without an end record, so that the web server knows the answer is cut. */
void client_close(struct client *c);

/* ----------------------------------------------------------------- records.c */

enum look {
	LOOK_WHOLE,
	LOOK_PARTIAL,
	LOOK_LARGE, /* not whole, and not to be left unread */
	LOOK_CLOSED /* or no FastCGI */
};

/* The records of one request, where they lie. Sizes in bytes. */
struct records {
	const unsigned char *p;
	size_t bytes;  /* all of them, headers included */
	size_t params; /* content only, as `body` */
	size_t body;
	uint16_t request_id;
	bool usual; /* may be taken apart here; else it is libfcgi's */
};

/* LOOK_WHOLE fills *ret, which points into p. */
enum look records_look(const unsigned char *p, size_t n, struct records *ret);
/* "NAME=value" strings and NULL, in the arena. False: malformed. */
bool records_variables(const struct records *r, struct arena *arena, char ***ret_envp) MUST_CHECK;
struct str records_body(const struct records *r, struct arena *arena);

/* ----------------------------------------------------------------- request.c */

/* A request that is there whole. The exchange takes its arena over. */
struct request {
	struct arena arena;
	char **envp;     /* CGI variables, in the arena */
	struct str body; /* in memory or mapped; owned by the arena */
	struct client client;
	enum err err; /* ERR_OK, or why it cannot be served */
	STAILQ_ENTRY(request) link;
};

/* Reads the request of an accepted connection; blocks until it is there, for at most
 * LIMIT_READ_SILENCE_S without a byte if the descriptor says so. NULL when there is
 * none (closed, garbage); the descriptor is closed then. */
struct request *request_read(const struct conf *conf, int fd);
/* The same of a request that was peeked at, whole and usual, without waiting; its bytes
 * are still in the socket. NULL: malformed, for request_read() to refuse. */
struct request *request_take(const struct conf *conf, int fd, const struct records *r);
/* Plain CGI: the request of this process. */
struct request *request_cgi(const struct conf *conf, char **envp);
void request_free(struct request *r);

/* ------------------------------------------------------------------ intake.c */

struct intake *intake_new(struct worker *w, int listen_fd);
/* Takes what waits, and then no more connections; what is half read still comes. */
void intake_stop(struct intake *in);
bool intake_is_empty(struct intake *in);
void intake_free(struct intake *in);

/* ----------------------------------------------------------------- breaker.c */

/* Circuit breakers, one an upstream, of this worker. */
struct breakers *breakers_new(void);
void breakers_free(struct breakers *b);
struct breaker *breaker_of(struct breakers *b, struct str url);
/* May a request go there now: closed, or half-open with no probe under way. */
bool breaker_allows(const struct breaker *b, int64_t now_us);
int64_t breaker_opens_at(const struct breaker *b); /* mono µs; when it may be tried */
/* Whether this is the probe, which the others are told. Each begin is ended by exactly one
 * of them, breaker_alive() apart. */
bool breaker_begin(struct breaker *b, int64_t now_us) MUST_CHECK;
void breaker_alive(struct breaker *b, bool probe); /* a good answer has begun */
void breaker_ok(struct breaker *b);
void breaker_failed(struct breaker *b, bool probe, int64_t now_us);
/* A 429 of this key, which rests rest_us. */
void breaker_limited(struct breaker *b, bool probe, int64_t key_id, int64_t rest_us,
		     int64_t now_us);
void breaker_released(struct breaker *b, bool probe); /* nothing was learnt */

/* ---------------------------------------------------------------- upstream.c */

enum call_end {
	CALL_COMPLETE,         /* the answer is whole */
	CALL_NOT_SENT,         /* provably not processed: DNS, connect, TLS */
	CALL_BROKEN,           /* written, then reset, closed or garbled */
	CALL_TOO_SLOW_CONNECT, /* as CALL_NOT_SENT, by connect_timeout */
	CALL_STOPPED,          /* on_data said so */
};

enum call_flow {
	CALL_GO_ON,
	CALL_PAUSE,
	CALL_STOP
};

/* One request to a provider. The exchange fills the first part, and keeps it
 * until on_done or upstream_cancel(). */
struct call {
	const char *url;    /* origin and "/": what libcurl connects to */
	const char *target; /* the raw request target */
	const char *method;
	const struct headers *headers;
	const struct str *slices; /* the body, in pieces */
	size_t n_slices;
	bool has_body;
	const char *userinfo; /* "user:password" for Basic, or NULL */
	const struct options *opt;
	struct arena *arena; /* for this call's own needs and the answer's headers */
	void (*on_head)(struct call *c);
	/* A pause takes the bytes back: they come again after upstream_resume(). */
	enum call_flow (*on_data)(struct call *c, const char *p, size_t n);
	void (*on_done)(struct call *c, enum call_end end);

	/* the answer */
	int status;
	struct headers answer;
	char error[256]; /* libcurl's words, when it failed */

	/* upstream.c's own */
	struct upstreams *owner;
	struct handle *handle; /* NULL when not under way */
	int64_t body_len;
	int64_t body_at; /* bytes handed to libcurl so far */
	size_t head_bytes;
	bool head_done;
	bool stopped;
};

struct upstreams *upstreams_new(struct worker *w);
void upstreams_free(struct upstreams *u);
void upstream_start(struct upstreams *u, struct call *c);
void upstream_cancel(struct call *c); /* fine when not under way; not from on_data */
void upstream_resume(struct call *c); /* not from on_data */
/* Whether the request has been handed to the socket whole, and since when it has
 * been going out (µs after the start; -1: still connecting). */
void upstream_progress(const struct call *c, bool *ret_written, int64_t *ret_sending_since_us);
/* Lets libcurl act on what was started; at the end of each event of the loop. */
void upstreams_run(struct upstreams *u);

/* --- sockets.c: libcurl's sockets in the loop, and idle connections --- */
struct sockets *sockets_new(struct event_base *base, void (*on_ready)(void *arg, int fd, int bits),
			    void *arg);
void sockets_free(struct sockets *s);
int sockets_open(struct sockets *s, int family, int type, int protocol);
void sockets_close(struct sockets *s, int fd);
/* what: CURL_POLL_…; opt and origin tell whose idle limits hold when it is removed. */
void sockets_watch(struct sockets *s, int fd, int what, const struct options *opt,
		   const char *origin);

/* ---------------------------------------------------------------- exchange.c */

/*	ROUTED ──▶ PICKING ──▶ SENDING ──▶ ANSWERING ──▶ DONE
 *	   ▲          ▲  │        │ retry      │           ▲
 *	   │ newer    │  └────────┼────────────┼───────────┤ own error, or the
 *	   │ version  │           ▼            │           │ last upstream answer
 *	   └──────────┴───────────┘            └───────────┘ whole, cut, or client gone
 */
enum exchange_state {
	EX_ROUTED,
	EX_PICKING,
	EX_SENDING,
	EX_ANSWERING,
	EX_DONE,
};

/* How the answer goes to the client. */
enum answer_mode {
	ANSWER_PASS,    /* as it comes */
	ANSWER_COLLECT, /* kept, up to a limit, until it is whole: an error, a model list */
};

/* Why the exchange's own clock stopped it. */
enum overdue {
	OVERDUE_NOT,
	OVERDUE_HEADERS,
	OVERDUE_REQUEST,
	OVERDUE_STREAM
};

/* One key, one upstream, one call. try_clear() forgets all of it. */
struct try_state {
	int64_t key_id;
	uint8_t key_hash[CRYPT_HASH_BYTES];
	struct str key_stored;
	struct buf key; /* the key itself; wiped */
	const struct upstream *upstream;
	struct str upstream_path; /* raw: base path and target_path joined */
	struct breaker *breaker;  /* to be told how this ends; NULL once it was */
	bool probes;              /* this try is the breaker's probe */
	struct headers sent;
	struct call call;

	/* its answer */
	enum answer_mode mode;
	bool is_event_stream;
	bool is_stream;
	bool passing; /* bytes of it went to the client: no retry any more */
	bool edits_models;
	struct buf collected;
	struct sse sse;
	bool sse_tracked;
	struct usage_scan *usage;
	int64_t expected_len; /* content-length; -1: not said */
	int64_t received;
	int64_t bytes_out;

	/* time, mono */
	int64_t started_us;
	int64_t first_byte_us; /* 0: none yet */
	int64_t ended_us;      /* 0: not yet */
	enum overdue overdue;
};

/* An upstream answer kept for the client, should no try succeed. */
struct kept_answer {
	int status; /* 0: none */
	struct headers headers;
	struct str body;
};

struct exchange {
	struct worker *w;
	struct request *req;
	struct arena *arena; /* the request's */
	struct snapshot *snapshot;
	enum exchange_state state;
	bool gate_held;
	bool waits; /* for the pool or the configuration: do not free before that */
	bool ended;
	bool lasts; /* its client and its time limits are watched */
	TAILQ_ENTRY(exchange) link;

	/* config.c */
	uint64_t awaits_version;
	int64_t awaits_since_us; /* mono */
	void (*on_config)(struct exchange *x, bool there);
	bool config_failed; /* has waited in vain: goes on with what there is */
	TAILQ_ENTRY(exchange) await_link;

	/* route.c */
	const char *method;
	struct str path;  /* raw, after /proxy/{group} */
	struct str query; /* raw, without the client's key */
	struct str client_key;
	uint8_t client_digest[SHA256_BYTES]; /* of client_key */
	struct str client_ip;
	const struct group *named; /* the group of the URL */
	const struct group *group; /* the standard group in use */
	char request_id[37];

	/* body.c, for `group` */
	const struct group *prepared_for;
	struct str model;       /* after overrides, before the redirect; for the row */
	struct str target_path; /* `path` with the model redirected, if it is there */
	struct str *slices;
	size_t n_slices;
	int64_t body_len;
	struct str body_for_row; /* after overrides, before the redirect */
	bool wants_stream;

	/* tries */
	int attempt; /* from 1; 0 before the first */
	int64_t tried_keys[LIMIT_RETRIES + 1];
	size_t n_tried_keys;
	const struct upstream *tried_upstreams[LIMIT_RETRIES + 1];
	size_t n_tried_upstreams;
	uint8_t *member_flags;    /* of an aggregate's members: MEMBER_… of pick.c */
	size_t member;            /* the one in use */
	int64_t rest_end_ms;      /* earliest of the groups asked in this round; 0: none rests */
	int64_t breaker_opens_us; /* likewise of their upstreams, mono; 0: none rests */

	struct try_state try; /* the one under way, or the last */
	struct kept_answer kept;
	enum err failed_as; /* how the last try failed, when it brought no answer */
	struct logrow row;  /* of a try that failed, until it is known to be the last */
	bool row_held;

	/* what is counted of it */
	int status_out; /* of the answer; 0: none went out */
	bool stream_counted;
	int64_t provider_us; /* what the tries took */

	/* time */
	int64_t started_us; /* mono */
	int64_t last_byte_us;
	int64_t last_heartbeat_us;
	struct event timer;
};

/* Takes the request over. */
void exchange_start(struct worker *w, struct request *req);
/* Ends the exchange now, whatever it is doing, with this error (a shutdown). */
void exchange_abort(struct exchange *x, const char *why);

/* --- what picks and tries may lead to --- */
/* Moves to another state; an impossible move ends the process. */
void exchange_set_state(struct exchange *x, enum exchange_state to);
/* Ends with an error of ours, or with the provider's answer that was kept. */
void exchange_refuse(struct exchange *x, enum err e, const char *message, int retry_after_s);
/* The answer is all in the client's hands: writes the last row, ends the exchange. */
void exchange_finish(struct exchange *x);
/* The client left: nothing more to answer. */
void exchange_gone(struct exchange *x);
/* The answer is cut; the client is to notice, and a reader of events to read why. */
void exchange_cut(struct exchange *x, const char *why);
/* At the beginning of what goes on after x->waits. False: the exchange has ended meanwhile,
 * and is freed now. */
bool exchange_waited(struct exchange *x);
/* Sets the timer to the next thing that is due; of an exchange that is still short,
 * does nothing. */
void exchange_arm(struct exchange *x);

/* -------------------------------------------------------------------- pick.c */

/* Picks a key, and begins a try with it. */
void pick_next(struct exchange *x);
/* No upstream of the group in use may be asked now: another member, or refuse. */
void pick_elsewhere(struct exchange *x);

/* --------------------------------------------------------------------- try.c */

/* Begins a try with the picked key. */
void try_begin(struct exchange *x, const struct pick *p);
/* Forgets the try under way: its key, its scanners, what was collected. */
void try_clear(struct exchange *x);

/* ------------------------------------------------------------------ settle.c */

/* The call has ended; decides and goes on. */
void settle(struct exchange *x, enum call_end end);
/* The answer's head is good (below 400). */
void settle_good(struct exchange *x);
/* Must the answer be kept until it is known what it says: an error, or a status
 * that the operator wants tried again. */
bool settle_concerns(const struct exchange *x);
/* An answer too large to keep: would its status alone lead to another try? */
bool settle_may_retry(const struct exchange *x);
/* The try under way ran out of time (x->try.overdue says of which). */
void try_overdue(struct exchange *x);

/* ------------------------------------------------------------------- route.c */

/* Finds group and access: fills the route's fields. ERR_…: what to answer. */
enum err route(struct exchange *x, struct errinfo *info) MUST_CHECK;
bool route_is_preflight(const struct exchange *x);
/* GET /proxy/{group}/api/integration/info. */
bool route_is_integration(const struct exchange *x);
void route_answer_integration(struct exchange *x);

/* -------------------------------------------------------------------- body.c */

/* Overrides, model redirect and stream detection for x->group. */
enum err body_prepare(struct exchange *x, struct errinfo *info) MUST_CHECK;

/* ----------------------------------------------------------------- verdict.c */

struct verdict {
	bool retry;         /* by another key */
	bool key_concerned; /* `key` is to be reported */
	enum key_verdict key;
	enum {
		UPSTREAM_OK,
		UPSTREAM_FAILED,
		UPSTREAM_LIMITED,
		UPSTREAM_UNTOUCHED
	} upstream;
};

/* What an answer with this status says; `body` is decoded, cut to LIMIT_ERROR_BODY. */
struct verdict verdict_of_answer(const struct group *g, int status, struct str body);
/* What a transfer that ended without a whole answer says. */
struct verdict verdict_of_failure(enum call_end end, enum overdue overdue, bool answer_begun);

/* ------------------------------------------------------------------ answer.c */

/* Writes status and end-to-end headers of an answer. body_len < 0: not known. */
void answer_head(struct exchange *x, int status, const struct headers *h, int64_t body_len,
		 bool streams);
/* Our own error, in the vendor's envelope. Ends nothing. */
void answer_error(struct exchange *x, enum err e, const char *message, int retry_after_s);
/* A whole answer of ours. */
void answer_own(struct exchange *x, int status, const char *content_type, struct str body);
/* The preflight's 204. */
void answer_preflight(struct exchange *x);
/* An error event in a stream that was cut. */
void answer_error_event(struct exchange *x, const char *message);
/* The collected bytes, decoded if they are compressed, else as they are; in the
 * arena. */
struct str answer_decoded(struct exchange *x);
/* The kept answer, without anything secret. */
void answer_kept(struct exchange *x);

/* --------------------------------------------------------------------- row.c */

/* Makes the row of the try under way (or of a refusal without a try) and holds it:
 * whether it is the request's last is known only when the next try begins. `error`
 * is redacted here. */
void row_hold(struct exchange *x, int status, const char *end, struct str error);
/* The snapshot goes, whose names a held row borrows. */
void row_keep(struct exchange *x);
/* Spools the held row, if there is one. */
void row_release(struct exchange *x, bool final);

#endif
