//! One node's A2A room with a crowd on it: thousands of agents behind the HTTP door, thousands of open tasks.
//!
//! It runs in a process of its own, so that its memory is nobody else's.

use async_trait::async_trait;
use haggle_a2a::{A2aError, card, message};
use haggle_a2a_transport::{
    Call, CallerScope, Executor, HttpConfig, Limits, OpenGate, Outcome, Server, Updates, router,
};
use haggle_base::{Clock, Did, Seed, SystemClock};
use haggle_store::{Options, Store};
use std::future::pending;
use std::io::Result;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;

/// A message that begins with this is worked on until it is cancelled; any other is answered with itself.
pub const WAIT: &str = "wait";
/// Tasks that may be kept beside those that are open.
const SPARE: usize = 1000;

/// The agents of a crowd, in order. The same on every machine.
#[must_use]
pub fn agents(count: u32) -> Vec<Did> {
    let seed = Seed::devnet(7, 1);
    (0..count).map(|index| seed.agent_key(index).did()).collect()
}

struct Patient;

#[async_trait]
impl Executor for Patient {
    async fn execute(&self, call: Call, _: Updates) -> std::result::Result<Outcome, A2aError> {
        let text = message::text_of(&call.message).unwrap_or_default();
        if text.starts_with(WAIT) {
            pending::<()>().await;
        }
        Ok(Outcome::Message(message::agent(&call.task_id, vec![message::text(&text)])))
    }
}

/// A crowd that is served.
#[derive(Debug)]
pub struct Crowd {
    listener: TcpListener,
    routes: axum::Router,
}

impl Crowd {
    /// Opens a store in `folder`, serves `agents` agents from it and listens; up to `open` tasks may be open at once.
    ///
    /// # Errors
    /// The store or a port cannot be had.
    pub async fn open(folder: &Path, agents: u32, open: usize) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let limits = Limits {
            running: open + SPARE,
            running_per_caller: open + SPARE,
            tasks: open + SPARE,
            tasks_per_caller: open + SPARE,
            ..Limits::default()
        };
        let store = Store::open(&folder.join("store"), Options::default()).map_err(std::io::Error::other)?;
        let server = Server::open(store, &folder.join("bodies"), Arc::new(OpenGate), clock, limits)
            .await
            .map_err(std::io::Error::other)?;
        let executor: Arc<dyn Executor> = Arc::new(Patient);
        for (number, did) in self::agents(agents).into_iter().enumerate() {
            let draft = card::Draft {
                name: format!("agent {number}"),
                description: "Gives back what it gets; waits when asked to.".into(),
                version: "1.0.0".into(),
                skills: vec![card::Skill {
                    id: "echo".into(),
                    name: "Echo".into(),
                    description: "Gives back what it gets.".into(),
                    tags: vec!["echo".into()],
                }],
                modes: vec!["text/plain".into()],
                extensions: vec![],
                extended: false,
            };
            let card = card::own(&draft, &did, &card::Places { http: vec![], peers: vec![] });
            server.serve(did, card, Arc::clone(&executor));
        }
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let routes = router(HttpConfig { server, remote: None, base_url: None, bearer: false, signer: None })
            .layer(axum::Extension(CallerScope("bench".into())));
        Ok(Self { listener, routes })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not say.
    pub fn address(&self) -> Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the process ends.
    ///
    /// # Errors
    /// The listener fails.
    pub async fn serve(self) -> Result<()> {
        axum::serve(self.listener, self.routes).await
    }
}
