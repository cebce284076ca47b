"""Speaks with an agent through the unmodified A2A Python SDK and prints what it saw as one line of JSON.

    client.py URL --text X [--token T] [--binding JSONRPC|HTTP+JSON] [--whole] [--get] [--list] [--cancel] [--answer Y]
              [--push HOOK]

URL is the agent's base URL: the card is fetched from below it. The token goes into the HTTP headers
of every request. Replies are streamed unless --whole is given. Printed are the reply's `events` in
order; with --answer the events of a second message to the same task as `answered`; with --cancel
the cancelled task as `cancelled`; with --get the task as `got`; with --list all tasks, two a page, as
`listed`. With --push the message carries the webhook HOOK; a second one is made for its task, read, listed and deleted,
and what was read, what was listed and what was left are printed as `hooks`.
"""

import argparse
import asyncio
import json

import httpx
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.helpers import new_text_message
from a2a.types import (
    CancelTaskRequest,
    DeleteTaskPushNotificationConfigRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    ListTasksRequest,
    Role,
    SendMessageRequest,
    TaskPushNotificationConfig,
)
from google.protobuf.json_format import MessageToDict

TIMEOUT_SECONDS = 60


def task_id(events: list[dict]) -> str:
    for event in events:
        for name, key in (("task", "id"), ("statusUpdate", "taskId"), ("artifactUpdate", "taskId")):
            if name in event:
                return event[name][key]
    raise SystemExit("the reply names no task")


async def pages(client) -> list[dict]:
    tasks, token = [], ""
    while True:
        page = await client.list_tasks(ListTasksRequest(page_size=2, page_token=token))
        tasks.extend(MessageToDict(task) for task in page.tasks)
        token = page.next_page_token
        if not token:
            return tasks


async def hooks(client, task: str, url: str) -> dict:
    made = TaskPushNotificationConfig(task_id=task, id="second", url=url, token="t-2")
    await client.create_task_push_notification_config(made)
    which = {"task_id": task, "id": "second"}
    read = await client.get_task_push_notification_config(GetTaskPushNotificationConfigRequest(**which))
    listing = ListTaskPushNotificationConfigsRequest(task_id=task)
    listed = await client.list_task_push_notification_configs(listing)
    await client.delete_task_push_notification_config(DeleteTaskPushNotificationConfigRequest(**which))
    left = await client.list_task_push_notification_configs(listing)
    return {"read": MessageToDict(read), "listed": len(listed.configs), "left": [hook.id for hook in left.configs]}


async def main(asked: argparse.Namespace) -> None:
    headers = {"Authorization": f"Bearer {asked.token}"} if asked.token else {}
    async with httpx.AsyncClient(headers=headers, timeout=TIMEOUT_SECONDS) as http:
        card = await A2ACardResolver(http, asked.url).get_agent_card()
        config = ClientConfig(
            httpx_client=http, streaming=not asked.whole, supported_protocol_bindings=[asked.binding]
        )
        client = ClientFactory(config).create(card)

        async def say(text: str, task: str | None = None) -> list[dict]:
            message = new_text_message(text, role=Role.ROLE_USER)
            if task:
                message.task_id = task
            request = SendMessageRequest(message=message)
            if asked.push:
                hook = TaskPushNotificationConfig(id="first", url=asked.push, token="t-1")
                request.configuration.task_push_notification_config.CopyFrom(hook)
            return [MessageToDict(event) async for event in client.send_message(request)]

        seen = {"events": await say(asked.text)}
        if asked.answer:
            seen["answered"] = await say(asked.answer, task_id(seen["events"]))
        if asked.push:
            seen["hooks"] = await hooks(client, task_id(seen["events"]), asked.push)
        if asked.cancel:
            cancelled = await client.cancel_task(CancelTaskRequest(id=task_id(seen["events"])))
            seen["cancelled"] = MessageToDict(cancelled)
        if asked.get:
            seen["got"] = MessageToDict(await client.get_task(GetTaskRequest(id=task_id(seen["events"]))))
        if asked.list:
            seen["listed"] = await pages(client)
        print(json.dumps(seen))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--token")
    parser.add_argument("--text", required=True)
    parser.add_argument("--binding", default="JSONRPC")
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--get", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--cancel", action="store_true")
    parser.add_argument("--answer")
    parser.add_argument("--push")
    asyncio.run(main(parser.parse_args()))
