//! An echo agent on the official Rust A2A server crate, as little as it takes: what haggle's gateway is compared with.
//!
//! "message: X" is answered with a message, anything else with a completed task. It prints the port it listens on.

use std::sync::Arc;

use a2a::{A2AError, Artifact, Message, Part, Role, StreamResponse, Task, TaskState, TaskStatus};
use a2a_server::{AgentExecutor, DefaultRequestHandler, ExecutorContext, InMemoryTaskStore, jsonrpc};
use futures::stream::{self, BoxStream, StreamExt as _};

struct Echo;

type Events = BoxStream<'static, Result<StreamResponse, A2AError>>;

impl AgentExecutor for Echo {
    fn execute(&self, context: ExecutorContext) -> Events {
        let text = context.message.as_ref().and_then(Message::text).unwrap_or_default().to_owned();
        let event = if text.starts_with("message: ") {
            StreamResponse::Message(Message::new(Role::Agent, vec![Part::text(text)]))
        } else {
            StreamResponse::Task(completed(context, text))
        };
        stream::iter([Ok(event)]).boxed()
    }

    fn cancel(&self, _: ExecutorContext) -> Events {
        stream::iter([Err(A2AError::internal("nothing to cancel"))]).boxed()
    }
}

fn completed(context: ExecutorContext, text: String) -> Task {
    let artifact = Artifact {
        artifact_id: "echo".to_owned(),
        name: None,
        description: None,
        parts: vec![Part::text(text)],
        metadata: None,
        extensions: None,
    };
    Task {
        id: context.task_id,
        context_id: context.context_id,
        status: TaskStatus { state: TaskState::Completed, message: None, timestamp: None },
        artifacts: Some(vec![artifact]),
        history: context.message.map(|message| vec![message]),
        metadata: None,
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let handler = DefaultRequestHandler::new(Echo, InMemoryTaskStore::new());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    axum::serve(listener, jsonrpc::jsonrpc_router(Arc::new(handler))).await
}
