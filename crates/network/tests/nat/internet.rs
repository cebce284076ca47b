//! The internet: carries packets between the routers of a few machines, a little later.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::time::Duration;

use tokio::net::unix::pipe::Receiver;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::router::{Packet, Router};

/// How long a packet takes from one machine to another.
const DELAY: Duration = Duration::from_millis(10);
/// Packets on their way; more are lost, as on any wire.
const ON_THE_WAY: usize = 4096;

/// Where a machine is plugged in: its router, and the other end of the device through which it sends everything.
pub(crate) struct Plug {
    pub(crate) router: Router,
    pub(crate) wire: File,
}

/// Carries packets between the machines until dropped.
pub(crate) async fn run(mut plugs: Vec<Plug>) -> io::Result<()> {
    let (sent, mut packets) = mpsc::channel(ON_THE_WAY);
    let mut readers = JoinSet::new();
    for (number, plug) in plugs.iter().enumerate() {
        // a device is read like a pipe, packet by packet
        readers.spawn(read(number, Receiver::from_file_unchecked(plug.wire.try_clone()?)?, sent.clone()));
    }
    let mut way: VecDeque<(Instant, Packet)> = VecDeque::new();
    loop {
        let arrival = way.front().map(|(at, _)| *at);
        tokio::select! {
            Some((number, packet)) = packets.recv() => {
                if way.len() < ON_THE_WAY && let Some(packet) = plugs[number].router.let_out(packet) {
                    way.push_back((Instant::now() + DELAY, packet));
                }
            }
            () = sleep_until(arrival.unwrap_or_else(Instant::now)), if arrival.is_some() => {
                let Some((_, packet)) = way.pop_front() else { continue };
                // what goes to an address that nobody has is lost
                let Some(plug) = plugs.iter_mut().find(|plug| plug.router.outside() == *packet.to().ip()) else { continue };
                if let Some(packet) = plug.router.let_in(packet) {
                    let _lost_when_full = plug.wire.write(&packet.write());
                }
            }
        }
    }
}

/// Reads what a machine sends.
async fn read(number: usize, wire: Receiver, sent: mpsc::Sender<(usize, Packet)>) {
    let mut buffer = vec![0; 1 << 16];
    while wire.readable().await.is_ok() {
        // to the last packet: a short one does not mean that no other waits
        while let Ok(length @ 1..) = wire.try_read(&mut buffer) {
            if let Some(packet) = Packet::read(&buffer[..length]) {
                let _lost_when_full = sent.try_send((number, packet));
            }
        }
    }
}
