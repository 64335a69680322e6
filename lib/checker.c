/* SPDX-License-Identifier: MIT
 *
 * One curl_multi handle with the probes under way. A good key is good again in the
 * pool; a bad one counts as one failure, which need not take it out; rate limits let
 * it rest; and what says nothing about the key changes nothing.
 */
#include "lib/checker.h"

#include "lib/clock.h"
#include "lib/limits.h"
#include "lib/probe.h"
#include "lib/str.h"
#include "lib/validate.h"

#include <stdlib.h>

struct test {
	struct probe probe; /* first: what CURLOPT_PRIVATE points to */
	struct test *next;
	int64_t key_id;
	int64_t started_us; /* monotonic */
};

struct checker {
	const struct conf *conf; /* borrowed, like the next */
	struct pool *pool;
	struct snapshot *snap;
	const struct group *group;
	CURLM *multi;
	struct test *tests;
	size_t busy;
	uint64_t turn;
};

enum err
checker_new(struct checker **ret, const struct conf *conf, struct pool *pool, struct snapshot *snap,
	    int64_t group_id, struct errinfo *info)
{
	const struct group *g = snapshot_group_id(snap, group_id);
	struct checker *c;

	if (g == NULL || g->aggregate || g->channel == NULL || g->n_upstream_turns == 0)
		return err_set(info, ERR_VALIDATION, "the group has no upstream to try a key with");
	c = xcalloc(1, sizeof(*c));
	c->conf = conf;
	c->pool = pool;
	c->snap = snapshot_ref(snap);
	c->group = g;
	c->multi = curl_multi_init();
	check(c->multi != NULL);
	random_bytes(&c->turn, sizeof(c->turn));
	c->turn /= 2;
	*ret = c;
	return ERR_OK;
}

static void
test_free(struct checker *c, struct test *t)
{
	struct test **at = &c->tests;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	c->busy--;
	curl_multi_remove_handle(c->multi, t->probe.easy);
	probe_done(&t->probe);
	free(t);
}

void
checker_free(struct checker *c)
{
	if (c == NULL)
		return;
	while (c->tests != NULL)
		test_free(c, c->tests);
	curl_multi_cleanup(c->multi);
	snapshot_unref(c->snap);
	free(c);
}

size_t
checker_room(const struct checker *c)
{
	size_t most = MIN((size_t)c->group->opt.validation_concurrency, (size_t)LIMIT_VALIDATIONS);

	return most > c->busy ? most - c->busy : 0;
}

size_t
checker_busy(const struct checker *c)
{
	return c->busy;
}

enum err
checker_start(struct checker *c, int64_t key_id, struct str key, struct errinfo *info)
{
	const struct group *g = c->group;
	uint16_t at = turns_index(g->upstream_turns, g->n_upstream_turns, c->turn++);
	struct test *t = xcalloc(1, sizeof(*t));
	enum err e = probe_init(&t->probe, c->conf, g, &g->upstreams[at], key, info);

	if (e != ERR_OK) {
		free(t);
		return e;
	}
	t->key_id = key_id;
	t->started_us = clock_mono_us();
	t->next = c->tests;
	c->tests = t;
	c->busy++;
	check(curl_multi_add_handle(c->multi, t->probe.easy) == CURLM_OK);
	return ERR_OK;
}

void
checker_run(struct checker *c, int wait_ms)
{
	int left;

	check(curl_multi_perform(c->multi, &left) == CURLM_OK);
	if ((size_t)left < c->busy)
		return;
	check(curl_multi_poll(c->multi, NULL, 0, wait_ms, NULL) == CURLM_OK);
	check(curl_multi_perform(c->multi, &left) == CURLM_OK);
}

static void
tell(struct checker *c, int64_t key_id, const struct probe_answer *answer)
{
	const struct options *opt = &c->group->opt;
	struct report report = {
	    .group_id = c->group->id,
	    .key_id = key_id,
	    .verdict = VERDICT_OK,
	    .threshold = opt->blacklist_threshold,
	    .next_check_ms = validate_next_ms(opt, 0, clock_wall_ms()),
	    .status = answer->status,
	    .error = buf_view(&answer->why),
	};

	if (answer->blames_key)
		report.verdict = VERDICT_BLAMED;
	else if (!answer->ok && answer->status == 429)
		report.verdict = VERDICT_LIMITED;
	else if (!answer->ok)
		return;
	pool_report(c->pool, &report, NULL, NULL);
}

bool
checker_take(struct checker *c, struct checked *ret)
{
	int left;
	const CURLMsg *msg = curl_multi_info_read(c->multi, &left);
	struct probe_answer answer;
	char *private = NULL;

	if (msg == NULL)
		return false;
	CURLcode code = msg->data.result;
	check(curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &private) == CURLE_OK);
	struct test *t = (struct test *)(void *)private;

	probe_judge(&t->probe, code, &answer);
	tell(c, t->key_id, &answer);
	*ret = (struct checked){
	    .key_id = t->key_id,
	    .ok = answer.ok,
	    .status = answer.status,
	    .why = answer.why,
	    .took_ms = (clock_mono_us() - t->started_us) / 1000,
	};
	test_free(c, t);
	return true;
}
