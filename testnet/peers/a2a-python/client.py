"""Sends one message with the unmodified A2A Python SDK and prints the reply as one line of JSON.

    client.py URL --text X [--token T] [--get]

URL is the agent's base URL: the card is fetched from below it. The token goes into the HTTP headers
of every request. With --get the reply's task is read again with GetTask and printed instead.
"""

import argparse
import asyncio

import httpx
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.helpers import new_text_message
from a2a.types import GetTaskRequest, Role, SendMessageRequest
from google.protobuf.json_format import MessageToJson

TIMEOUT_SECONDS = 60


async def main(url: str, token: str | None, text: str, get: bool) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(headers=headers, timeout=TIMEOUT_SECONDS) as http:
        card = await A2ACardResolver(http, url).get_agent_card()
        client = ClientFactory(ClientConfig(httpx_client=http)).create(card)
        message = new_text_message(text, role=Role.ROLE_USER)
        reply = None
        async for reply in client.send_message(SendMessageRequest(message=message)):
            pass
        if get:
            reply = await client.get_task(GetTaskRequest(id=reply.task.id))
        print(MessageToJson(reply, indent=None))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--token")
    parser.add_argument("--text", required=True)
    parser.add_argument("--get", action="store_true")
    asked = parser.parse_args()
    asyncio.run(main(asked.url, asked.token, asked.text, asked.get))
