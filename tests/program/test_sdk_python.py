# SPDX-License-Identifier: MIT
"""The vendors' own Python clients, unmodified but for base URL and key."""

import anthropic
import google.generativeai as old_genai
import openai
import pytest
from google import genai
from google.api_core import exceptions as google_exceptions
from google.genai import errors as genai_errors

from lib import vendors
from lib.gateway import AUTH_KEY

# Enough that some are left when a 429 has made its own rest.
KEYS = ["up-1", "up-2", "up-3", "up-4"]
ASK = [{"role": "user", "content": "hi"}]
TEXT = b"hello world"


def url(gateway, group, rest=""):
    return f"http://127.0.0.1:{gateway.port}{group.path(rest)}"


def raised(fn):
    with pytest.raises(Exception) as caught:
        fn()
    return type(caught.value)


@pytest.fixture
def group(request, provider, make_group):
    """Of the channel that the test's parameter names, with a provider that speaks so."""
    speak = {"openai": vendors.speak_openai, "anthropic": vendors.speak_anthropic,
             "gemini": vendors.speak_gemini}[request.param]
    speak(provider, KEYS)
    return make_group(channel=request.param, keys=KEYS, config={"max_retries": 1})


@pytest.mark.parametrize("rest", ["", "/v1"])
@pytest.mark.parametrize("group", ["openai"], indirect=True)
def test_openai(gateway, provider, group, rest):
    def client(key=AUTH_KEY):
        return openai.OpenAI(base_url=url(gateway, group, rest), api_key=key, max_retries=0)
    one = client()

    def chat(model):
        return one.chat.completions.create(model=model, messages=ASK)
    assert chat("gpt-4.1-nano").choices[0].message.content == "Hello! How can I help?"
    chunks = list(one.chat.completions.create(model="gpt-4.1-nano", messages=ASK, stream=True,
                                              stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Hello!"
    assert chunks[-1].usage.prompt_tokens == 11
    assert one.responses.create(model="gpt-4.1-nano", input="hi").output_text == "Hello!"
    embedding = one.embeddings.create(model="text-embedding-3-small", input="hi",
                                      encoding_format="float")
    assert embedding.data[0].embedding == [0.0023, -0.0093, 0.015]
    assert [m.id for m in one.models.list()] == ["gpt-4.1-nano", "gpt-4o"]
    assert one.files.create(file=("mydata.jsonl", TEXT), purpose="fine-tune").id == "file-abc123"
    assert TEXT in provider.last.body
    assert raised(lambda: chat("error-400")) is openai.BadRequestError
    assert raised(lambda: chat("error-404")) is openai.NotFoundError
    assert raised(lambda: chat("error-500")) is openai.InternalServerError
    assert raised(lambda: chat("error-429")) is openai.RateLimitError
    assert raised(lambda: client("wrong").models.list()) is openai.AuthenticationError
    assert set(provider.keys) == set(KEYS)


@pytest.mark.parametrize("group", ["anthropic"], indirect=True)
def test_anthropic(gateway, provider, group):
    def client(key=AUTH_KEY):
        return anthropic.Anthropic(base_url=url(gateway, group), api_key=key, max_retries=0)
    one = client()
    model = "claude-3-haiku-20240307"

    def chat(name, by=one):
        return by.messages.create(model=name, max_tokens=10, messages=ASK)
    assert chat(model).content[0].text == "Hi! My name is Claude."
    with one.messages.stream(model=model, max_tokens=10, messages=ASK) as stream:
        assert "".join(stream.text_stream) == "Hello!"
        assert stream.get_final_message().usage.output_tokens == 15
    assert [m.id for m in one.models.list()] == [model]
    uploaded = one.beta.files.upload(file=("document.txt", TEXT, "text/plain"))
    assert uploaded.id == vendors.ANTHROPIC_FILE["id"]
    assert TEXT in provider.last.body
    assert raised(lambda: chat("error-400")) is anthropic.BadRequestError
    assert raised(lambda: chat("error-404")) is anthropic.NotFoundError
    assert issubclass(raised(lambda: chat("error-529")), anthropic.InternalServerError)
    assert raised(lambda: chat("error-429")) is anthropic.RateLimitError
    assert raised(lambda: chat(model, client("wrong"))) is anthropic.AuthenticationError
    assert set(provider.keys) == set(KEYS)


@pytest.mark.parametrize("group", ["gemini"], indirect=True)
def test_google_genai(gateway, provider, group, tmp_path):
    def client(key=AUTH_KEY):
        return genai.Client(api_key=key, http_options={"base_url": url(gateway, group)})
    one = client()
    model = "gemini-2.0-flash-lite"

    def chat(name, by=one):
        return by.models.generate_content(model=name, contents="hi")
    assert chat(model).text == "Hello there."
    chunks = list(one.models.generate_content_stream(model=model, contents="hi"))
    assert "".join(c.text for c in chunks) == "Hello."
    assert chunks[-1].usage_metadata.candidates_token_count == 9
    embedding = one.models.embed_content(model="text-embedding-004", contents="hi")
    assert embedding.embeddings[0].values == [0.013, -0.008, 0.02]
    assert [m.name for m in one.models.list()] == ["models/gemini-2.0-flash-lite"]
    file = tmp_path / "document.txt"
    file.write_bytes(TEXT)
    assert one.files.upload(file=file).name == "files/abc-123"
    assert any(r.body == TEXT for r in provider.requests)
    assert raised(lambda: chat("error-400")) is genai_errors.ClientError
    assert raised(lambda: chat("error-404")) is genai_errors.ClientError
    assert raised(lambda: chat("error-500")) is genai_errors.ServerError
    assert raised(lambda: chat("error-429")) is genai_errors.ClientError
    with pytest.raises(genai_errors.ClientError) as refused:
        chat(model, client("wrong"))
    assert (refused.value.code, refused.value.status) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize("group", ["gemini"], indirect=True)
def test_google_generativeai(gateway, provider, group):
    """No upload: this client sends it to an address of Google's that is fixed in it."""
    def configure(key):
        old_genai.configure(api_key=key, transport="rest",
                            client_options={"api_endpoint": url(gateway, group)})
    configure(AUTH_KEY)

    def chat(name, **rest):
        return old_genai.GenerativeModel(name).generate_content(
            "hi", request_options={"retry": None}, **rest)
    model = "gemini-2.0-flash-lite"
    assert chat(model).text == "Hello there."
    embedding = old_genai.embed_content("models/text-embedding-004", "hi")
    assert embedding["embedding"] == pytest.approx([0.013, -0.008, 0.02])
    assert [m.name for m in old_genai.list_models()] == ["models/gemini-2.0-flash-lite"]
    provider.on(vendors.answer(json=[vendors.CONTENT, vendors.CONTENT]),
                path=f"/v1beta/models/{model}:streamGenerateContent")
    assert "".join(c.text for c in chat(model, stream=True)) == "Hello there." * 2
    assert raised(lambda: chat("error-400")) is google_exceptions.BadRequest
    assert raised(lambda: chat("error-404")) is google_exceptions.NotFound
    assert issubclass(raised(lambda: chat("error-500")), google_exceptions.ServerError)
    assert issubclass(raised(lambda: chat("error-429")), google_exceptions.TooManyRequests)
    configure("wrong")
    assert issubclass(raised(lambda: chat(model)), google_exceptions.Unauthorized)
