//! A machine: a thread in a network namespace of its own, on which a node runs.

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::{Arc, mpsc};

use haggle_base::{NodeKey, SystemClock};
use haggle_network::{Network, NetworkConfig};
use libp2p::metrics::Registry;
use nix::sched::{CloneFlags, unshare};
use tappers::Tun;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

/// What nodes ask of each other.
const ECHO: &str = "/a2a/jsonrpc/1.0.0";
/// Bytes of a request, and of its answer.
const REQUEST: usize = 100_000;

/// What a machine is to run.
struct Job {
    key: NodeKey,
    config: NetworkConfig,
    started: oneshot::Sender<(Network, Registry)>,
    stop: CancellationToken,
}

/// A machine on which nothing runs yet.
pub(crate) struct Machine {
    jobs: mpsc::Sender<Job>,
}

/// A node on a machine. Both end when it is dropped.
pub(crate) struct Node {
    pub(crate) network: Network,
    registry: Registry,
    _stop: DropGuard,
}

impl Machine {
    /// Makes a machine, and the wire that everything it sends goes into.
    pub(crate) async fn new(name: String, ip: Ipv4Addr) -> io::Result<(Self, File)> {
        let (jobs, job) = mpsc::channel();
        let (made, wire) = oneshot::channel();
        std::thread::Builder::new().name(name).spawn(move || {
            let wired = unshare(CloneFlags::CLONE_NEWNET).map_err(io::Error::from).and_then(|()| wire_up(ip));
            let is_wired = wired.is_ok();
            if made.send(wired).is_ok() && is_wired {
                job.recv().into_iter().for_each(run);
            }
        })?;
        let wire = wire.await.map_err(io::Error::other)??;
        Ok((Self { jobs }, wire))
    }

    /// Starts a node there.
    pub(crate) async fn start(self, key: NodeKey, config: NetworkConfig) -> Node {
        let (started, node) = oneshot::channel();
        let stop = CancellationToken::new();
        self.jobs.send(Job { key, config, started, stop: stop.clone() }).unwrap();
        let (network, registry) = node.await.unwrap();
        Node { network, registry, _stop: stop.drop_guard() }
    }
}

/// Gives the namespace of this thread one device, through which everything goes.
fn wire_up(ip: Ipv4Addr) -> io::Result<File> {
    let mut wire = Tun::new()?;
    wire.set_nonblocking(true)?;
    let name = wire.name()?.name();
    let name = name.to_string_lossy();
    for command in [
        "link set lo up".to_owned(),
        format!("address add {ip}/32 dev {name}"),
        format!("link set {name} up"),
        format!("route add default dev {name}"),
    ] {
        let done = Command::new("ip").args(command.split(' ')).output()?;
        if !done.status.success() {
            return Err(io::Error::other(format!("ip {command}: {}", String::from_utf8_lossy(&done.stderr))));
        }
    }
    Ok(wire.as_fd().try_clone_to_owned()?.into())
}

/// Runs a node on this thread alone, so that all its sockets are in the namespace of the thread.
fn run(job: Job) {
    let Job { key, config, started, stop } = job;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut registry = Registry::default();
        let clock = Arc::new(SystemClock);
        let (network, inbox) = Network::start(config, &key, clock, Some(&mut registry)).await.unwrap();
        echo(&network);
        if started.send((network.clone(), registry)).is_ok() {
            stop.cancelled().await;
        }
        network.shutdown().await;
        drop(inbox);
    });
}

/// Answers every request with itself.
fn echo(network: &Network) {
    let mut incoming = network.accept(ECHO).unwrap();
    tokio::spawn(async move {
        while let Some((_, mut stream)) = incoming.next().await {
            tokio::spawn(async move {
                let mut request = vec![0; REQUEST];
                stream.read_exact(&mut request).await?;
                stream.write_all(&request).await?;
                stream.flush().await
            });
        }
    });
}

impl Node {
    /// Sends a request and waits for its answer.
    pub(crate) async fn ask(&self, other: &Self) -> io::Result<()> {
        let mut stream = self.network.open(&other.network.peer_id(), ECHO).await.map_err(io::Error::other)?;
        let request = vec![7; REQUEST];
        stream.write_all(&request).await?;
        stream.flush().await?;
        let mut answer = vec![0; REQUEST];
        stream.read_exact(&mut answer).await?;
        if answer == request { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    /// Whether this node has tried to punch through to a peer, as often as it does, and in vain.
    pub(crate) fn has_given_up_punching(&self) -> bool {
        let mut counters = String::new();
        prometheus_client::encoding::text::encode(&mut counters, &self.registry).unwrap();
        counters.contains("DirectConnectionUpgradeFailed")
    }
}
