// SPDX-License-Identifier: MIT
// What a user of the `openai` package does; prints what came back as JSON.
import OpenAI, { toFile } from "openai";
import { failure, print, text } from "./report.mjs";

const client = new OpenAI({
  baseURL: process.env.BASE_URL, apiKey: process.env.API_KEY, maxRetries: 0,
});
const ask = { model: "gpt-4.1-nano", messages: [{ role: "user", content: "hi" }] };

const chat = await client.chat.completions.create(ask);
const stream = await client.chat.completions.create(
  { ...ask, stream: true, stream_options: { include_usage: true } });
const pieces = [];
let usage = null;
for await (const chunk of stream) {
  pieces.push(chunk.choices[0]?.delta?.content ?? "");
  usage = chunk.usage ?? usage;
}
const response = await client.responses.create({ model: "gpt-4.1-nano", input: "hi" });
const responseEvents = [];
for await (const event of await client.responses.create(
  { model: "gpt-4.1-nano", input: "hi", stream: true })) responseEvents.push(event.type);
const embeddings = await client.embeddings.create(
  { model: "text-embedding-3-small", input: "hi", encoding_format: "float" });
const models = [];
for await (const model of client.models.list()) models.push(model.id);
const file = await client.files.create(
  { purpose: "fine-tune", file: await toFile(Buffer.from(text), "mydata.jsonl") });

print({
  chat: chat.choices[0].message.content,
  stream: pieces.join(""),
  usage,
  response: response.output_text,
  responseEvents,
  embedding: embeddings.data[0].embedding,
  models,
  file: file.id,
  errors: {
    400: await failure(() => client.chat.completions.create({ ...ask, model: "error-400" })),
    404: await failure(() => client.chat.completions.create({ ...ask, model: "error-404" })),
    500: await failure(() => client.chat.completions.create({ ...ask, model: "error-500" })),
    429: await failure(() => client.chat.completions.create({ ...ask, model: "error-429" })),
    key: await failure(() => client.withOptions({ apiKey: "wrong" }).models.list()),
  },
});
