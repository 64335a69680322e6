/* SPDX-License-Identifier: MIT
 *
 * Spool records from untrusted bytes: whatever decodes comes back the same after it
 * was encoded again, and nothing is read outside the input. A file may hold several
 * records. So that the fuzzer gets past the checksum, it is set right first when the
 * length fits.
 */
#include "lib/limits.h"
#include "lib/logrow.h"
#include "lib/str.h"

#include <endian.h>
#include <stdlib.h>
#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
mend_checksum(char *p, size_t n)
{
	uint32_t length;
	uint32_t crc;

	if (n < 8)
		return;
	memcpy(&length, p, sizeof(length));
	length = le32toh(length);
	if (length > n - 8)
		return;
	crc = htole32((uint32_t)crc32_z(0, (const Bytef *)p + 8, length));
	memcpy(p + 4, &crc, sizeof(crc));
}

static void
encode_again(const struct logrow *row)
{
	struct logrow again;
	struct buf first;
	struct buf second;
	struct str in;

	buf_init(&first, 2 * LIMIT_LOG_RECORD);
	buf_init(&second, 2 * LIMIT_LOG_RECORD);
	logrow_encode(row, &first);
	in = buf_view(&first);
	check(logrow_decode(&in, &again) == ERR_OK && in.n == 0);
	check(utf8_valid(again.model) && again.model.n <= LIMIT_LOG_MODEL);
	check(utf8_valid(again.request_body) && again.request_body.n <= LIMIT_LOG_REQUEST_BODY);
	logrow_encode(&again, &second);
	check(str_eq(buf_view(&first), buf_view(&second)));
	buf_done(&first);
	buf_done(&second);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = xmalloc(size);
	struct str in = {copy, size};
	struct logrow row;

	if (size > 0)
		memcpy(copy, data, size);
	for (;;) {
		struct str before = in;

		mend_checksum(copy + (size - in.n), in.n);
		if (logrow_decode(&in, &row) != ERR_OK) {
			check(in.p == before.p && in.n == before.n);
			break;
		}
		check(in.n < before.n);
		encode_again(&row);
	}
	free(copy);
	return 0;
}
