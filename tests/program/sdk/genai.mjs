// SPDX-License-Identifier: MIT
// What a user of `@google/genai` does; prints what came back as JSON.
import { GoogleGenAI } from "@google/genai";
import { failure, print, text } from "./report.mjs";

const options = (apiKey) => ({
  apiKey, httpOptions: { baseUrl: process.env.BASE_URL },
});
const client = new GoogleGenAI(options(process.env.API_KEY));
const model = "gemini-2.0-flash-lite";
const ask = (name, one = client) =>
  one.models.generateContent({ model: name, contents: "hi" });

const chat = await ask(model);
const pieces = [];
let usage = null;
for await (const chunk of await client.models.generateContentStream({ model, contents: "hi" })) {
  pieces.push(chunk.text);
  usage = chunk.usageMetadata ?? usage;
}
const embeddings = await client.models.embedContent({ model: "text-embedding-004", contents: "hi" });
const models = [];
for await (const one of await client.models.list()) models.push(one.name);
const file = await client.files.upload({
  file: new Blob([text], { type: "text/plain" }), config: { mimeType: "text/plain" },
});

print({
  chat: chat.text,
  stream: pieces.join(""),
  usage,
  embedding: embeddings.embeddings[0].values,
  models,
  file: file.name,
  errors: {
    400: await failure(() => ask("error-400")),
    404: await failure(() => ask("error-404")),
    500: await failure(() => ask("error-500")),
    429: await failure(() => ask("error-429")),
    key: await failure(() => ask(model, new GoogleGenAI(options("wrong")))),
  },
});
