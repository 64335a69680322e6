# SPDX-License-Identifier: MIT
"""Answers in the vendors' own shapes, as their documentation prints them.

Canned for the tests that only need one; what a test asserts on it writes itself.
"""

from .provider import answer, credential, sse

# --- OpenAI, chat completions ---

CHAT = {
    "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
    "object": "chat.completion",
    "created": 1741569952,
    "model": "gpt-4.1-nano-2025-04-14",
    "choices": [{
        "index": 0,
        "message": {"role": "assistant", "content": "Hello! How can I help?",
                    "refusal": None, "annotations": []},
        "logprobs": None,
        "finish_reason": "stop",
    }],
    "usage": {
        "prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29,
        "prompt_tokens_details": {"cached_tokens": 7, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0,
                                      "accepted_prediction_tokens": 0,
                                      "rejected_prediction_tokens": 0},
    },
    "service_tier": "default",
}


def chat_chunk(content=None, finish=None, usage=None):
    delta = {"content": content} if content is not None else {}
    chunk = {"id": "chatcmpl-123", "object": "chat.completion.chunk", "created": 1694268190,
             "model": "gpt-4.1-nano", "system_fingerprint": "fp_44709d6fcb",
             "choices": [{"index": 0, "delta": delta, "logprobs": None,
                          "finish_reason": finish}]}
    if usage is not None:
        chunk["usage"] = usage
        chunk["choices"] = []
    return sse(chunk)


CHAT_EVENTS = [
    chat_chunk("Hel"), chat_chunk("lo"), chat_chunk("!"), chat_chunk(finish="stop"),
    chat_chunk(usage={"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14,
                      "prompt_tokens_details": {"cached_tokens": 4}}),
    b"data: [DONE]\n\n",
]

EMBEDDING = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.0023, -0.0093, 0.015]}],
    "model": "text-embedding-3-small",
    "usage": {"prompt_tokens": 8, "total_tokens": 8},
}

MODELS = {
    "object": "list",
    "data": [
        {"id": "gpt-4.1-nano", "object": "model", "created": 1744321707, "owned_by": "system"},
        {"id": "gpt-4o", "object": "model", "created": 1715367049, "owned_by": "system"},
    ],
}

FILE = {
    "id": "file-abc123", "object": "file", "bytes": 120000, "created_at": 1677610602,
    "expires_at": 1677614202, "filename": "mydata.jsonl", "purpose": "fine-tune",
    "status": "processed",
}


def openai_error(status, message, kind="invalid_request_error", code=None, headers=()):
    return answer(status, headers=headers, json={
        "error": {"message": message, "type": kind, "param": None, "code": code}})


def openai_bad_key():
    return openai_error(401, "Incorrect API key provided. You can find your API key at "
                        "https://platform.openai.com/account/api-keys.", code="invalid_api_key")


def openai_rate_limit(headers=()):
    return openai_error(429, "Rate limit reached for gpt-4.1-nano in organization org-x on "
                        "requests per min (RPM): Limit 3, Used 3, Requested 1.",
                        "requests", "rate_limit_exceeded", headers)


def openai_no_quota():
    return openai_error(429, "You exceeded your current quota, please check your plan and "
                        "billing details.", "insufficient_quota", "insufficient_quota")


# --- OpenAI, responses ---

RESPONSE = {
    "id": "resp_67ccd2bed1ec8190b14f964abc054267", "object": "response",
    "created_at": 1741476542, "status": "completed", "error": None,
    "incomplete_details": None, "instructions": None, "max_output_tokens": None,
    "model": "gpt-4.1-nano-2025-04-14",
    "output": [{"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
                "content": [{"type": "output_text", "text": "Hello!", "annotations": []}]}],
    "parallel_tool_calls": True, "previous_response_id": None, "reasoning": None,
    "store": True, "temperature": 1.0, "text": {"format": {"type": "text"}},
    "tool_choice": "auto", "tools": [], "top_p": 1.0, "truncation": "disabled",
    "usage": {"input_tokens": 36, "input_tokens_details": {"cached_tokens": 5},
              "output_tokens": 87, "output_tokens_details": {"reasoning_tokens": 0},
              "total_tokens": 123},
    "user": None, "metadata": {},
}

RESPONSE_EVENTS = [
    sse({"type": "response.created", "sequence_number": 0,
         "response": {**RESPONSE, "status": "in_progress", "output": [], "usage": None}},
        "response.created"),
    sse({"type": "response.output_text.delta", "sequence_number": 1, "item_id": "msg_1",
         "output_index": 0, "content_index": 0, "delta": "Hello!", "logprobs": []},
        "response.output_text.delta"),
    sse({"type": "response.completed", "sequence_number": 2, "response": RESPONSE},
        "response.completed"),
]

# --- Anthropic ---

MESSAGE = {
    "id": "msg_013Zva2CMHLNnXjNJJKqJ2EF", "type": "message", "role": "assistant",
    "model": "claude-3-haiku-20240307",
    "content": [{"type": "text", "text": "Hi! My name is Claude."}],
    "stop_reason": "end_turn", "stop_sequence": None,
    "usage": {"input_tokens": 2095, "cache_creation_input_tokens": 0,
              "cache_read_input_tokens": 512, "output_tokens": 503,
              "service_tier": "standard"},
}

MESSAGE_EVENTS = [
    sse({"type": "message_start", "message": {
        **MESSAGE, "content": [], "stop_reason": None,
        "usage": {"input_tokens": 25, "cache_creation_input_tokens": 0,
                  "cache_read_input_tokens": 6, "output_tokens": 1}}}, "message_start"),
    sse({"type": "content_block_start", "index": 0,
         "content_block": {"type": "text", "text": ""}}, "content_block_start"),
    sse({"type": "ping"}, "ping"),
    sse({"type": "content_block_delta", "index": 0,
         "delta": {"type": "text_delta", "text": "Hello"}}, "content_block_delta"),
    sse({"type": "content_block_delta", "index": 0,
         "delta": {"type": "text_delta", "text": "!"}}, "content_block_delta"),
    sse({"type": "content_block_stop", "index": 0}, "content_block_stop"),
    sse({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
         "usage": {"output_tokens": 15}}, "message_delta"),
    sse({"type": "message_stop"}, "message_stop"),
]

ANTHROPIC_MODELS = {
    "data": [{"type": "model", "id": "claude-3-haiku-20240307",
              "display_name": "Claude Haiku 3", "created_at": "2024-03-07T00:00:00Z"}],
    "has_more": False, "first_id": "claude-3-haiku-20240307",
    "last_id": "claude-3-haiku-20240307",
}

ANTHROPIC_FILE = {
    "id": "file_011CNha8iCJcU1wXNR6q4V8w", "type": "file", "filename": "document.txt",
    "mime_type": "text/plain", "size_bytes": 11, "created_at": "2025-01-01T00:00:00Z",
    "downloadable": False,
}


def anthropic_error(status, kind, message, headers=()):
    return answer(status, headers=headers, json={
        "type": "error", "error": {"type": kind, "message": message},
        "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy"})


def anthropic_no_credit():
    return anthropic_error(400, "invalid_request_error",
                           "Your credit balance is too low to access the Anthropic API. "
                           "Please go to Plans & Billing to upgrade or purchase credits.")


# --- Gemini ---

CONTENT = {
    "candidates": [{
        "content": {"parts": [{"text": "Hello there."}], "role": "model"},
        "finishReason": "STOP", "index": 0, "avgLogprobs": -0.05,
    }],
    "usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 12,
                      "totalTokenCount": 16, "cachedContentTokenCount": 2,
                      "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 4}]},
    "modelVersion": "gemini-2.0-flash-lite",
    "responseId": "abc",
}


def content_event(text, finish=None, usage=None):
    value = {"candidates": [{"content": {"parts": [{"text": text}], "role": "model"},
                             "index": 0}], "modelVersion": "gemini-2.0-flash-lite"}
    if finish:
        value["candidates"][0]["finishReason"] = finish
    if usage:
        value["usageMetadata"] = usage
    return sse(value).replace(b"\n\n", b"\r\n\r\n")


CONTENT_EVENTS = [
    content_event("Hel", usage={"promptTokenCount": 4, "totalTokenCount": 4}),
    content_event("lo.", "STOP", {"promptTokenCount": 4, "candidatesTokenCount": 9,
                                  "cachedContentTokenCount": 1, "totalTokenCount": 13}),
]

GEMINI_MODELS = {
    "models": [{
        "name": "models/gemini-2.0-flash-lite", "version": "2.0",
        "displayName": "Gemini 2.0 Flash-Lite", "description": "Gemini 2.0 Flash-Lite",
        "inputTokenLimit": 1048576, "outputTokenLimit": 8192,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
        "temperature": 1, "topP": 0.95, "topK": 40, "maxTemperature": 2,
    }],
}

GEMINI_EMBEDDINGS = {"embeddings": [{"values": [0.013, -0.008, 0.02]}]}
GEMINI_EMBEDDING = {"embedding": {"values": [0.013, -0.008, 0.02]}}

GEMINI_FILE = {
    "name": "files/abc-123", "displayName": "document.txt", "mimeType": "text/plain",
    "sizeBytes": "11", "createTime": "2025-01-01T00:00:00Z",
    "updateTime": "2025-01-01T00:00:00Z", "expirationTime": "2025-01-03T00:00:00Z",
    "sha256Hash": "YWJj", "uri": "https://generativelanguage.googleapis.com/v1beta/files/abc-123",
    "state": "ACTIVE", "source": "UPLOADED",
}


def gemini_error(status, name, message, reason=None, headers=()):
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason,
                "domain": "googleapis.com",
                "metadata": {"service": "generativelanguage.googleapis.com"}}] if reason else []
    return answer(status, headers=headers, json={
        "error": {"code": status, "message": message, "status": name, "details": details}})


def gemini_bad_key():
    return gemini_error(400, "INVALID_ARGUMENT",
                        "API key not valid. Please pass a valid API key.", "API_KEY_INVALID")


def gemini_rate_limit(delay="17s"):
    return answer(429, json={"error": {
        "code": 429, "status": "RESOURCE_EXHAUSTED",
        "message": "You exceeded your current quota, please check your plan and billing "
                   "details. Please retry in 17.4s.",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo",
                     "retryDelay": delay}]}})


# --- a request of each channel, and where it goes ---

CHANNELS = {
    "openai": ("/v1/chat/completions",
               {"model": "gpt-4.1-nano", "messages": [{"role": "user", "content": "hi"}]}),
    "openai-response": ("/v1/responses", {"model": "gpt-4.1-nano", "input": "hi"}),
    "anthropic": ("/v1/messages",
                  {"model": "claude-3-haiku-20240307", "max_tokens": 10,
                   "messages": [{"role": "user", "content": "hi"}]}),
    "gemini": ("/v1beta/models/gemini-2.0-flash-lite:generateContent",
               {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
}

# channel → (path of a streaming request, events of its answer)
STREAMED = {
    "openai": ("/v1/chat/completions", CHAT_EVENTS),
    "openai-response": ("/v1/responses", RESPONSE_EVENTS),
    "anthropic": ("/v1/messages", MESSAGE_EVENTS),
    "gemini": ("/v1beta/models/gemini-2.0-flash-lite:streamGenerateContent?alt=sse",
               CONTENT_EVENTS),
}


# --- a whole vendor, for the SDKs ---


def _streams(request):
    return b'"stream":true' in request.body.replace(b" ", b"") or "alt=sse" in request.query


def _upload(provider):
    """Google's resumable upload: the first request names where the bytes go."""
    async def reply(request):
        if request.header("x-goog-upload-command") == "start":
            await answer(json={}, headers=[
                ("X-Goog-Upload-Status", "active"),
                ("X-Goog-Upload-URL", provider.origin + "/upload/v1beta/files?upload_id=1")],
            )(request)
        else:
            await answer(json={"file": GEMINI_FILE},
                         headers=[("X-Goog-Upload-Status", "final")])(request)
    return reply


def speak_openai(provider, keys):
    """Makes the provider answer like OpenAI, to these upstream keys only."""
    _speak(provider, keys, openai_bad_key(), [
        ("/v1/chat/completions", answer(json=CHAT), _events(CHAT_EVENTS)),
        ("/v1/responses", answer(json=RESPONSE), _events(RESPONSE_EVENTS)),
        ("/v1/embeddings", answer(json=EMBEDDING), None),
        ("/v1/models", answer(json=MODELS), None),
        ("/v1/files", answer(json=FILE), None),
    ], {
        400: openai_error(400, "you must provide a model parameter"),
        404: openai_error(404, "The model `error-404` does not exist", code="model_not_found"),
        429: openai_rate_limit([("Retry-After", "0")]),
        500: openai_error(500, "The server had an error", "server_error"),
    })


def speak_anthropic(provider, keys):
    _speak(provider, keys, anthropic_error(401, "authentication_error", "invalid x-api-key"), [
        ("/v1/messages", answer(json=MESSAGE), _events(MESSAGE_EVENTS)),
        ("/v1/models", answer(json=ANTHROPIC_MODELS), None),
        ("/v1/files", answer(json=ANTHROPIC_FILE), None),
    ], {
        400: anthropic_error(400, "invalid_request_error", "max_tokens: Field required"),
        404: anthropic_error(404, "not_found_error", "model: error-404"),
        429: anthropic_error(429, "rate_limit_error", "rate limit", [("Retry-After", "0")]),
        529: anthropic_error(529, "overloaded_error", "Overloaded"),
    })


def speak_gemini(provider, keys):
    """Under any version of the API: the clients differ in which they take."""
    base = "/models/gemini-2.0-flash-lite"
    _speak(provider, keys, gemini_bad_key(), [
        (base + ":generateContent", answer(json=CONTENT), None),
        (base + ":streamGenerateContent", answer(json=[CONTENT]), _events(CONTENT_EVENTS)),
        ("/models/text-embedding-004:batchEmbedContents",
         answer(json=GEMINI_EMBEDDINGS), None),
        ("/models/text-embedding-004:embedContent", answer(json={
            **GEMINI_EMBEDDING, **GEMINI_EMBEDDINGS}), None),
        ("/models", answer(json=GEMINI_MODELS), None),
        ("/files", _upload(provider), None),
    ], {
        400: gemini_error(400, "INVALID_ARGUMENT", "Invalid value at 'contents'"),
        404: gemini_error(404, "NOT_FOUND", "models/error-404 is not found"),
        429: answer(429, headers=[("Retry-After", "0")], json={"error": {
            "code": 429, "message": "Resource has been exhausted", "status":
            "RESOURCE_EXHAUSTED"}}),
        500: gemini_error(500, "INTERNAL", "An internal error has occurred"),
    })


def _events(events):
    return answer(body=b"".join(events), content_type="text/event-stream", framing="chunked")


def _speak(provider, keys, bad_key, routes, errors):
    provider.on(answer(404, json={"error": {"message": "no such route"}}))
    for end, whole, stream in routes:
        provider.on(whole, when=lambda request, end=end: request.path.endswith(end))
        if stream:
            provider.on(stream, when=lambda request, end=end: request.path.endswith(end)
                        and _streams(request))
    for status, what in errors.items():
        name = f"error-{status}"
        provider.on(what, when=lambda request, name=name: name in request.target
                    or name.encode() in request.body)
    # Where an upload goes on, the address itself is the permission.
    provider.on(bad_key, when=lambda request: credential(request) not in keys
                and "upload_id" not in request.query)
