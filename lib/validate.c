/* SPDX-License-Identifier: MIT
 *
 * The validator: one curl_multi handle and the tasks under way in it.
 *
 *	pool_due() ─▶ decrypt ─▶ probe ─▶ 2xx: pool_report(VERDICT_OK), the key is back
 *	                               └▶ else: pool_check_failed(), tried again later
 *
 * pool_due() moves a key's next check ahead by more than its request can take, so a
 * process that dies in between loses nothing and no key is tried twice at a time.
 */
#include "lib/validate.h"
#include "lib/clock.h"
#include "lib/limits.h"
#include "lib/log.h"
#include "lib/probe.h"
#include "lib/str.h"

#include <stdlib.h>

#define DAY_MS           86400000LL
#define EVEN_CHECKS      3     /* before the interval begins to double */
#define LEASE_MORE_MS    30000 /* beyond the request's own time limit */
#define DUE_AT_A_TIME    32
#define IDLE_CONNECTIONS 16L

struct task {
	struct probe probe; /* first: what CURLOPT_PRIVATE points to */
	struct validator *v;
	struct task *next;
	struct snapshot *snap; /* a reference: holds the group */
	const struct group *group;
	int64_t key_id;
	uint32_t checks;
};

struct validator {
	const struct conf *conf; /* borrowed, like the next two */
	struct pool *pool;
	const struct crypt *crypt;
	CURLM *multi;
	struct task *tasks;
	size_t n;
	uint64_t turn;    /* the last one that the pool told, or one more */
	int64_t *checked; /* group ids */
	size_t n_checked;
};

struct validator *
validator_new(const struct conf *conf, struct pool *pool, const struct crypt *crypt)
{
	struct validator *v = xcalloc(1, sizeof(*v));

	v->conf = conf;
	v->pool = pool;
	v->crypt = crypt;
	v->multi = curl_multi_init();
	check(v->multi != NULL);
	check(curl_multi_setopt(v->multi, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS) == CURLM_OK);
	return v;
}

static void
task_free(struct task *t)
{
	struct validator *v = t->v;
	struct task **at = &v->tasks;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	v->n--;
	curl_multi_remove_handle(v->multi, t->probe.easy);
	probe_done(&t->probe);
	snapshot_unref(t->snap);
	free(t);
}

void
validator_free(struct validator *v)
{
	if (v == NULL)
		return;
	while (v->tasks != NULL)
		task_free(v->tasks);
	curl_multi_cleanup(v->multi);
	free(v->checked);
	free(v);
}

/* --- when --- */

int64_t
validate_next_ms(const struct options *opt, uint32_t checks, int64_t now_ms)
{
	int64_t interval = (int64_t)opt->validation_interval_min * 60000;
	int64_t most = MAX(interval, DAY_MS);
	int64_t delay = interval;
	uint16_t chance;

	for (uint32_t i = EVEN_CHECKS; i <= checks && delay < most; i++)
		delay *= 2;
	delay = MIN(delay, most);
	/* 2 to 10 % earlier: keys that went out together do not come together, and
	 * the request itself ends before the interval does. */
	random_bytes(&chance, sizeof(chance));
	return now_ms + delay - delay * (20 + chance % 81) / 1000;
}

/* --- where --- */

static void
on_turn(void *arg, enum err e, uint64_t turn)
{
	struct validator *v = arg;

	if (e == ERR_OK)
		v->turn = turn;
}

/* By the group's turns, as requests go. A pool that does not answer at once leaves
 * one's own count. */
static const struct upstream *
choose_upstream(struct validator *v, const struct group *g)
{
	v->turn++;
	pool_turn(v->pool, g->id, on_turn, v);
	return &g->upstreams[turns_index(g->upstream_turns, g->n_upstream_turns, v->turn)];
}

/* --- the end of a task --- */

static void
check_failed_again(struct validator *v, const struct group *g, int64_t key_id, uint32_t checks,
		   int status, struct str why)
{
	int64_t next = validate_next_ms(&g->opt, checks + 1, clock_wall_ms());
	enum err e = pool_check_failed(v->pool, key_id, next, status, why);

	/* The time that pool_due() set holds then. */
	if (e != ERR_OK)
		log_warn("key %lld of group " STR_FMT ": cannot note its failed validation: %s",
			 (long long)key_id, STR_ARG(g->name), err_message(e));
}

static void
on_report(void *arg UNUSED, enum err e, enum pool_move move UNUSED, uint32_t fails UNUSED)
{
	if (e != ERR_OK)
		log_warn("a key is valid again, but the pool did not take it back: %s",
			 err_message(e));
}

static size_t
tasks_of(const struct validator *v, int64_t group_id)
{
	size_t n = 0;

	for (const struct task *t = v->tasks; t != NULL; t = t->next)
		n += t->group->id == group_id;
	return n;
}

static void
note_checked(struct validator *v, int64_t group_id)
{
	for (size_t i = 0; i < v->n_checked; i++)
		if (v->checked[i] == group_id)
			return;
	v->checked = xrealloc(v->checked, (v->n_checked + 1) * sizeof(*v->checked));
	v->checked[v->n_checked++] = group_id;
}

bool
validator_take_checked(struct validator *v, int64_t *ret_group_id)
{
	if (v->n_checked == 0)
		return false;
	*ret_group_id = v->checked[--v->n_checked];
	return true;
}

static void
finish(struct task *t, CURLcode code)
{
	struct validator *v = t->v;
	const struct group *g = t->group;
	int64_t group_id = g->id;
	struct probe_answer answer;

	probe_judge(&t->probe, code, &answer);
	if (answer.ok) {
		struct report report = {
		    .group_id = group_id,
		    .key_id = t->key_id,
		    .verdict = VERDICT_OK,
		    .status = answer.status,
		};

		log_info("key %lld of group " STR_FMT " is valid again", (long long)t->key_id,
			 STR_ARG(g->name));
		pool_report(v->pool, &report, on_report, NULL);
	} else {
		log_debug("key %lld of group " STR_FMT " is not valid yet: %s",
			  (long long)t->key_id, STR_ARG(g->name), buf_text(&answer.why));
		check_failed_again(v, g, t->key_id, t->checks, answer.status,
				   buf_view(&answer.why));
	}
	buf_done(&answer.why);
	task_free(t);
	if (tasks_of(v, group_id) == 0)
		note_checked(v, group_id);
}

/* --- its start --- */

static enum err
start_probe(struct validator *v, struct snapshot *snap, const struct group *g,
	    const struct due_key *due, struct str key, struct errinfo *info)
{
	struct task *t = xcalloc(1, sizeof(*t));
	enum err e = probe_init(&t->probe, v->conf, g, choose_upstream(v, g), key, info);

	if (e != ERR_OK) {
		free(t);
		return e;
	}
	t->v = v;
	t->snap = snapshot_ref(snap);
	t->group = g;
	t->key_id = due->id;
	t->checks = due->checks;
	t->next = v->tasks;
	v->tasks = t;
	v->n++;
	check(curl_multi_add_handle(v->multi, t->probe.easy) == CURLM_OK);
	return ERR_OK;
}

/* A key that cannot even be tried counts as one that failed. */
static void
start(struct validator *v, struct snapshot *snap, const struct group *g, const struct due_key *due)
{
	struct errinfo info = {""};
	struct buf key;
	enum err e;

	buf_init(&key, LIMIT_KEY_BYTES);
	e = crypt_decrypt(v->crypt, str_of(due->stored), &key);
	if (e == ERR_OK)
		e = start_probe(v, snap, g, due, buf_view(&key), &info);
	wipe(key.p, key.n);
	buf_done(&key);
	if (e == ERR_OK)
		return;
	log_error("key %lld of group " STR_FMT " cannot be validated: %s", (long long)due->id,
		  STR_ARG(g->name), err_text(&info, e));
	check_failed_again(v, g, due->id, due->checks, 0, str_of(err_text(&info, e)));
}

static enum err
start_group(struct validator *v, struct snapshot *snap, const struct group *g)
{
	struct due_key due[DUE_AT_A_TIME];
	int64_t lease_ms = g->opt.validation_timeout_s * 1000LL + LEASE_MORE_MS;
	size_t under_way = tasks_of(v, g->id);
	size_t most = (size_t)g->opt.validation_concurrency;
	size_t room = MIN(most > under_way ? most - under_way : 0, LIMIT_VALIDATIONS - v->n);

	while (room > 0) {
		size_t n = 0;
		enum err e = pool_due(v->pool, g->id, clock_wall_ms(), lease_ms, due,
				      MIN(room, DUE_AT_A_TIME), &n);

		if (e != ERR_OK)
			return e;
		for (size_t i = 0; i < n; i++) {
			start(v, snap, g, &due[i]);
			free(due[i].stored);
		}
		if (n < MIN(room, DUE_AT_A_TIME))
			break;
		room -= n;
	}
	return ERR_OK;
}

static bool
can_validate(const struct group *g)
{
	return !g->aggregate && g->channel != NULL && g->n_upstream_turns > 0;
}

enum err
validator_run(struct validator *v, struct snapshot *snap, int wait_ms, size_t *ret_busy,
	      struct errinfo *info)
{
	enum err e = ERR_OK;
	const CURLMsg *msg;
	int left;

	for (size_t i = 0; i < snap->n_groups && e == ERR_OK && v->n < LIMIT_VALIDATIONS; i++)
		if (can_validate(&snap->groups[i]))
			e = start_group(v, snap, &snap->groups[i]);
	if (v->n > 0) {
		check(curl_multi_perform(v->multi, &left) == CURLM_OK);
		check(curl_multi_poll(v->multi, NULL, 0, wait_ms, NULL) == CURLM_OK);
		check(curl_multi_perform(v->multi, &left) == CURLM_OK);
	}
	while ((msg = curl_multi_info_read(v->multi, &left)) != NULL) {
		CURLcode code = msg->data.result;
		char *task = NULL;

		check(msg->msg == CURLMSG_DONE);
		check(curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &task) == CURLE_OK);
		finish((struct task *)(void *)task, code);
	}
	*ret_busy = v->n;
	return e == ERR_OK ? ERR_OK : err_set(info, e, "cannot get the keys to validate");
}
