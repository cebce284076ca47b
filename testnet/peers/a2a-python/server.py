"""An echo agent on the unmodified A2A Python SDK: the foreign server of haggle's tests.

    server.py --port N        (0 picks a free port; the port is printed when it can be called)
    server.py --streams       (the card says that it streams)

The text of a message is echoed as the artifact of a completed task. "message: X" is answered with
a bare message instead, "ask: X" first asks for input, "break" answers nothing that A2A allows.
"""

import argparse
import asyncio
import socket

import uvicorn
from a2a.helpers import new_task_from_user_message, new_text_message, new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill
from starlette.applications import Starlette


class Echo(AgentExecutor):
    """Says back what it is told."""

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        text = context.get_user_input()
        if text.startswith("message: "):
            await event_queue.enqueue_event(new_text_message(text))
            return
        task = context.current_task
        if task is None:
            task = new_task_from_user_message(context.message)
            await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        if text.startswith("ask: "):
            await updater.requires_input(updater.new_agent_message([new_text_part("which one?")]))
            return
        if text == "break":
            raise RuntimeError("asked to break")
        await updater.start_work()
        await updater.add_artifact([new_text_part(text)], name="echo")
        await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        await updater.cancel()


def card(url: str, streams: bool) -> AgentCard:
    return AgentCard(
        name="Python Echo",
        description="Echoes text back.",
        version="1.0.0",
        supported_interfaces=[AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version="1.0")],
        capabilities=AgentCapabilities(streaming=streams, push_notifications=False),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[AgentSkill(id="echo", name="Echo", description="Echo the input.", tags=["echo"])],
    )


async def serve(port: int, streams: bool) -> None:
    listener = socket.create_server(("127.0.0.1", port))
    port = listener.getsockname()[1]
    agent_card = card(f"http://127.0.0.1:{port}/", streams)
    handler = DefaultRequestHandler(
        agent_executor=Echo(), task_store=InMemoryTaskStore(), agent_card=agent_card
    )
    routes = [*create_agent_card_routes(agent_card), *create_jsonrpc_routes(handler, "/")]
    config = uvicorn.Config(Starlette(routes=routes), log_level="warning")
    # The socket listens already, so whoever reads the port can connect.
    print(port, flush=True)
    await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--streams", action="store_true")
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.port, arguments.streams))
