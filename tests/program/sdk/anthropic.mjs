// SPDX-License-Identifier: MIT
// What a user of `@anthropic-ai/sdk` does; prints what came back as JSON.
import Anthropic, { toFile } from "@anthropic-ai/sdk";
import { failure, print, text } from "./report.mjs";

const client = new Anthropic({
  baseURL: process.env.BASE_URL, apiKey: process.env.API_KEY, maxRetries: 0,
});
const ask = {
  model: "claude-3-haiku-20240307", max_tokens: 10, messages: [{ role: "user", content: "hi" }],
};

const message = await client.messages.create(ask);
const stream = client.messages.stream(ask);
const pieces = [];
stream.on("text", (piece) => pieces.push(piece));
const last = await stream.finalMessage();
const models = [];
for await (const model of client.models.list()) models.push(model.id);
const file = await client.beta.files.upload({
  file: await toFile(Buffer.from(text), "document.txt", { type: "text/plain" }),
});

print({
  chat: message.content[0].text,
  stream: pieces.join(""),
  usage: last.usage,
  models,
  file: file.id,
  errors: {
    400: await failure(() => client.messages.create({ ...ask, model: "error-400" })),
    404: await failure(() => client.messages.create({ ...ask, model: "error-404" })),
    529: await failure(() => client.messages.create({ ...ask, model: "error-529" })),
    429: await failure(() => client.messages.create({ ...ask, model: "error-429" })),
    key: await failure(() => client.withOptions({ apiKey: "wrong" }).messages.create(ask)),
  },
});
