# SPDX-License-Identifier: MIT
# fcgi-app: the responder.
pkglibexec_PROGRAMS += fcgi-app/gpt-load.fcgi
fcgi_app_gpt_load_fcgi_SOURCES = \
	fcgi-app/answer.c \
	fcgi-app/body.c \
	fcgi-app/breaker.c \
	fcgi-app/client.c \
	fcgi-app/config.c \
	fcgi-app/exchange.c \
	fcgi-app/intake.c \
	fcgi-app/main.c \
	fcgi-app/master.c \
	fcgi-app/master.h \
	fcgi-app/pick.c \
	fcgi-app/records.c \
	fcgi-app/request.c \
	fcgi-app/responder.h \
	fcgi-app/route.c \
	fcgi-app/row.c \
	fcgi-app/settle.c \
	fcgi-app/sockets.c \
	fcgi-app/try.c \
	fcgi-app/upstream.c \
	fcgi-app/verdict.c \
	fcgi-app/worker.c
fcgi_app_gpt_load_fcgi_LDADD = $(CORE_LIBS) $(FCGI_LIBS) $(CURL_LIBS) $(EVENT_LIBS)
