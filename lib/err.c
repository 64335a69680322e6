/* SPDX-License-Identifier: MIT
 *
 * The error table's look-ups; the table itself is in err.h.
 */
#include "lib/err.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
	int status;
	const char *code;
	const char *message;
} table[ERR__MAX] = {
#define X(name, status, code, message) [name] = {status, code, message},
    ERR_TABLE(X)
#undef X
};

int
err_status(enum err e)
{
	return table[e].status;
}

const char *
err_code(enum err e)
{
	return table[e].code;
}

const char *
err_message(enum err e)
{
	return table[e].message;
}

enum err
err_set(struct errinfo *info, enum err e, const char *fmt, ...)
{
	va_list ap;

	if (info == NULL)
		return e;
	va_start(ap, fmt);
	(void)vsnprintf(info->text, sizeof(info->text), fmt, ap);
	va_end(ap);
	return e;
}

const char *
err_text(const struct errinfo *info, enum err e)
{
	return info != NULL && info->text[0] != '\0' ? info->text : err_message(e);
}

/* RFC 9110 section 15, RFC 6585, and 499/529, which the field uses. */
static const struct {
	int status;
	const char *phrase;
} reasons[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {499, "Client Closed Request"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {507, "Insufficient Storage"},
    {529, "Overloaded"},
};

const char *
status_reason(int status)
{
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].phrase;
	return "Unknown";
}
