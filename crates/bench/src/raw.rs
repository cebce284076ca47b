//! Plain libp2p: one request, one response, bytes as they are.

use futures::prelude::*;
use libp2p::request_response::{self, Codec, Config, Event, Message, ProtocolSupport};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, noise, tcp, yamux};
use std::io;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Largest body.
const MAX_BODY: u64 = 1 << 20;
/// Requests that may wait for the swarm.
const QUEUE: usize = 64;
const PROTOCOL: StreamProtocol = StreamProtocol::new("/raw/1");

/// Bytes until the stream ends.
#[derive(Clone, Debug, Default)]
pub struct Bytes;

impl Codec for Bytes {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        read(io).await
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        read(io).await
    }

    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        body: Vec<u8>,
    ) -> io::Result<()> {
        io.write_all(&body).await?;
        io.close().await
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        body: Vec<u8>,
    ) -> io::Result<()> {
        io.write_all(&body).await?;
        io.close().await
    }
}

async fn read<T: AsyncRead + Unpin>(io: &mut T) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    io.take(MAX_BODY).read_to_end(&mut body).await?;
    Ok(body)
}

type Exchange = request_response::Behaviour<Bytes>;

/// A client that is connected to an echo.
#[derive(Debug)]
pub struct Raw {
    requests: mpsc::Sender<(Vec<u8>, oneshot::Sender<Vec<u8>>)>,
}

impl Raw {
    /// Starts the pair and connects it.
    ///
    /// # Panics
    /// Loopback cannot be had.
    pub async fn start() -> Self {
        let mut server = swarm();
        let any: Multiaddr = "/ip4/127.0.0.1/tcp/0".parse().expect("an address");
        server.listen_on(any).expect("loopback can be listened on");
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = server.select_next_some().await {
                break address;
            }
        };
        let peer = *server.local_peer_id();
        tokio::spawn(serve(server));
        let mut client = swarm();
        client.dial(address.with_p2p(peer).expect("an address without a peer")).expect("loopback can be dialled");
        while !client.is_connected(&peer) {
            client.select_next_some().await;
        }
        let (requests, inbox) = mpsc::channel(QUEUE);
        tokio::spawn(ask(client, peer, inbox));
        Self { requests }
    }

    /// Sends `body` and waits until it comes back.
    ///
    /// # Panics
    /// The pair has ended.
    pub async fn call(&self, body: Vec<u8>) -> Vec<u8> {
        let (reply, answer) = oneshot::channel();
        self.requests.send((body, reply)).await.expect("the client runs");
        answer.await.expect("the server answers")
    }
}

fn swarm() -> Swarm<Exchange> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .expect("noise keys")
        .with_behaviour(|_| Exchange::new([(PROTOCOL, ProtocolSupport::Full)], Config::default()))
        .expect("a behaviour")
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(600)))
        .build()
}

async fn serve(mut swarm: Swarm<Exchange>) {
    loop {
        if let SwarmEvent::Behaviour(Event::Message { message: Message::Request { request, channel, .. }, .. }) =
            swarm.select_next_some().await
        {
            // a client that went away wants no answer
            let _sent = swarm.behaviour_mut().send_response(channel, request);
        }
    }
}

async fn ask(mut swarm: Swarm<Exchange>, peer: PeerId, mut inbox: mpsc::Receiver<(Vec<u8>, oneshot::Sender<Vec<u8>>)>) {
    let mut open = std::collections::HashMap::new();
    loop {
        tokio::select! {
            asked = inbox.recv() => {
                let Some((body, reply)) = asked else { return };
                open.insert(swarm.behaviour_mut().send_request(&peer, body), reply);
            }
            event = swarm.select_next_some() => {
                if let SwarmEvent::Behaviour(Event::Message { message: Message::Response { request_id, response }, .. }) = event
                    && let Some(reply) = open.remove(&request_id)
                {
                    // a caller that gave up wants no answer
                    let _sent = reply.send(response);
                }
            }
        }
    }
}
