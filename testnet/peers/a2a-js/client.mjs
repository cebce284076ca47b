/*
 * Speaks with an agent through the unmodified A2A JavaScript SDK and prints what it saw as one line of JSON.
 *
 *   client.mjs URL --text X [--token T] [--binding JSONRPC|HTTP+JSON] [--whole] [--get] [--list] [--cancel] [--answer Y]
 *             [--push HOOK]
 *
 * The arguments, and what is printed, are those of ../a2a-python/client.py.
 */
import { randomUUID } from "node:crypto";
import { parseArgs } from "node:util";
import {
  ListTasksRequest, SendMessageRequest, SendMessageResponse, StreamResponse, Task, TaskPushNotificationConfig,
} from "@a2a-js/sdk";
import {
  ClientFactory, ClientFactoryOptions, DefaultAgentCardResolver, JsonRpcTransportFactory, RestTransportFactory,
} from "@a2a-js/sdk/client";

const { values: asked, positionals: [url] } = parseArgs({
  allowPositionals: true,
  options: {
    text: { type: "string" },
    token: { type: "string" },
    binding: { type: "string", default: "JSONRPC" },
    whole: { type: "boolean", default: false },
    get: { type: "boolean", default: false },
    list: { type: "boolean", default: false },
    cancel: { type: "boolean", default: false },
    answer: { type: "string" },
    push: { type: "string" },
  },
});

const fetchImpl = (input, init = {}) => {
  const headers = new Headers(init.headers);
  if (asked.token) headers.set("authorization", `Bearer ${asked.token}`);
  return fetch(input, { ...init, headers });
};

const options = ClientFactoryOptions.createFrom(ClientFactoryOptions.default, {
  transports: [new JsonRpcTransportFactory({ fetchImpl }), new RestTransportFactory({ fetchImpl })],
  preferredTransports: [asked.binding],
  cardResolver: new DefaultAgentCardResolver({ fetchImpl }),
});
const client = await new ClientFactory(options).createFromUrl(`${url}/`, ".well-known/agent-card.json");

async function say(text, taskId) {
  const message = { messageId: randomUUID(), role: "ROLE_USER", parts: [{ text }], ...(taskId ? { taskId } : {}) };
  const hook = asked.push && { taskPushNotificationConfig: { id: "first", url: asked.push, token: "t-1" } };
  const request = SendMessageRequest.fromJSON({ message, ...(hook ? { configuration: hook } : {}) });
  if (asked.whole) {
    const reply = await client.sendMessage(request);
    const payload = reply.payload ? SendMessageResponse.toJSON(reply)
      : "messageId" in reply ? { message: StreamResponse.toJSON({ payload: { $case: "message", value: reply } }).message }
      : { task: Task.toJSON(reply) };
    return [payload];
  }
  const events = [];
  for await (const event of client.sendMessageStream(request)) events.push(StreamResponse.toJSON(event));
  return events;
}

function taskId(events) {
  for (const event of events) {
    const id = event.task?.id ?? event.statusUpdate?.taskId ?? event.artifactUpdate?.taskId;
    if (id) return id;
  }
  throw new Error("the reply names no task");
}

async function pages() {
  const tasks = [];
  let pageToken = "";
  do {
    const page = await client.listTasks(ListTasksRequest.fromJSON({ pageSize: 2, pageToken }));
    tasks.push(...page.tasks.map((task) => Task.toJSON(task)));
    pageToken = page.nextPageToken;
  } while (pageToken);
  return tasks;
}

async function hooks(task, hook) {
  const which = { tenant: "", taskId: task, id: "second" };
  const made = TaskPushNotificationConfig.fromJSON({ taskId: task, id: "second", url: hook, token: "t-2" });
  await client.createTaskPushNotificationConfig(made);
  const read = await client.getTaskPushNotificationConfig(which);
  const listing = { tenant: "", taskId: task, pageSize: 0, pageToken: "" };
  const listed = await client.listTaskPushNotificationConfig(listing);
  await client.deleteTaskPushNotificationConfig(which);
  const left = await client.listTaskPushNotificationConfig(listing);
  const json = TaskPushNotificationConfig.toJSON(read);
  return { read: json, listed: listed.configs.length, left: left.configs.map((config) => config.id) };
}

const seen = { events: await say(asked.text) };
if (asked.answer) seen.answered = await say(asked.answer, taskId(seen.events));
if (asked.push) seen.hooks = await hooks(taskId(seen.events), asked.push);
if (asked.cancel) seen.cancelled = Task.toJSON(await client.cancelTask({ tenant: "", id: taskId(seen.events), metadata: {} }));
if (asked.get) seen.got = Task.toJSON(await client.getTask({ tenant: "", id: taskId(seen.events) }));
if (asked.list) seen.listed = await pages();
console.log(JSON.stringify(seen));
