//! A home's router: which packets it lets out and in, and under which addresses.

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddrV4};

use etherparse::{IpNumber, Ipv4Header, NetHeaders, PacketHeaders, TransportHeader};

/// The first port that a router gives away: none that a node listens on.
const FIRST_PORT: u16 = 20_000;

/// What stands between a machine and the internet.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Behind {
    /// Nothing.
    Public,
    /// One outer port for each inner one, which takes packets only from where it has sent some: most home routers.
    Cone,
    /// An outer port for each inner one and each other end.
    Symmetric,
    /// A symmetric router that leads to the relay alone.
    RelayOnly,
}

impl Behind {
    /// All of them, the most open first.
    pub(crate) const ALL: [Self; 4] = [Self::Public, Self::Cone, Self::Symmetric, Self::RelayOnly];

    /// The word for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Cone => "cone",
            Self::Symmetric => "symmetric",
            Self::RelayOnly => "relay only",
        }
    }
}

/// A packet of TCP or UDP over IPv4.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    ip: Ipv4Header,
    transport: TransportHeader,
    payload: Vec<u8>,
}

impl Packet {
    /// Reads a packet; `None` if it is another one, or a fragment.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let read = PacketHeaders::from_ip_slice(bytes).ok()?;
        let Some(NetHeaders::Ipv4(ip, _)) = read.net else { return None };
        let transport = read.transport?;
        matches!(transport, TransportHeader::Tcp(_) | TransportHeader::Udp(_)).then(|| Self {
            ip,
            transport,
            payload: read.payload.slice().to_vec(),
        })
    }

    /// The packet as it goes over the wire, its checksums made anew.
    pub(crate) fn write(mut self) -> Vec<u8> {
        self.ip.header_checksum = self.ip.calc_header_checksum();
        match &mut self.transport {
            TransportHeader::Tcp(tcp) => tcp.checksum = tcp.calc_checksum_ipv4(&self.ip, &self.payload).unwrap(),
            TransportHeader::Udp(udp) => udp.checksum = udp.calc_checksum_ipv4(&self.ip, &self.payload).unwrap(),
            _ => unreachable!("no other packets are read"),
        }
        let mut bytes = Vec::new();
        self.ip.write(&mut bytes).unwrap();
        self.transport.write(&mut bytes).unwrap();
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    /// Where it comes from.
    pub(crate) fn from(&self) -> SocketAddrV4 {
        let port = match &self.transport {
            TransportHeader::Tcp(tcp) => tcp.source_port,
            TransportHeader::Udp(udp) => udp.source_port,
            _ => 0,
        };
        SocketAddrV4::new(self.ip.source.into(), port)
    }

    /// Where it goes.
    pub(crate) fn to(&self) -> SocketAddrV4 {
        let port = match &self.transport {
            TransportHeader::Tcp(tcp) => tcp.destination_port,
            TransportHeader::Udp(udp) => udp.destination_port,
            _ => 0,
        };
        SocketAddrV4::new(self.ip.destination.into(), port)
    }

    fn set_from(&mut self, addr: SocketAddrV4) {
        self.ip.source = addr.ip().octets();
        match &mut self.transport {
            TransportHeader::Tcp(tcp) => tcp.source_port = addr.port(),
            TransportHeader::Udp(udp) => udp.source_port = addr.port(),
            _ => {}
        }
    }

    fn set_to(&mut self, addr: SocketAddrV4) {
        self.ip.destination = addr.ip().octets();
        match &mut self.transport {
            TransportHeader::Tcp(tcp) => tcp.destination_port = addr.port(),
            TransportHeader::Udp(udp) => udp.destination_port = addr.port(),
            _ => {}
        }
    }
}

/// What an outer port stands for.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
struct Inner {
    protocol: IpNumber,
    addr: SocketAddrV4,
    /// The other end, if each has a port of its own.
    only: Option<SocketAddrV4>,
}

/// The router of one machine. It forgets nothing: a case is shorter than any time-out of a router.
#[derive(Debug)]
pub(crate) struct Router {
    behind: Behind,
    outside: Ipv4Addr,
    relay: Ipv4Addr,
    ports: HashMap<Inner, u16>,
    inners: HashMap<u16, Inner>,
    /// Where packets have gone to, from which outer port.
    sent: HashSet<(u16, SocketAddrV4)>,
}

impl Router {
    pub(crate) fn new(behind: Behind, outside: Ipv4Addr, relay: Ipv4Addr) -> Self {
        let (ports, inners, sent) = (HashMap::new(), HashMap::new(), HashSet::new());
        Self { behind, outside, relay, ports, inners, sent }
    }

    /// Where the internet knows the machine.
    pub(crate) fn outside(&self) -> Ipv4Addr {
        self.outside
    }

    /// What becomes of a packet that the machine sends.
    pub(crate) fn let_out(&mut self, mut packet: Packet) -> Option<Packet> {
        let (from, to) = (packet.from(), packet.to());
        let only = match self.behind {
            Behind::Public => return Some(packet),
            Behind::Cone => None,
            Behind::RelayOnly if *to.ip() != self.relay => return None,
            Behind::Symmetric | Behind::RelayOnly => Some(to),
        };
        let inner = Inner { protocol: packet.ip.protocol, addr: from, only };
        let free = FIRST_PORT + u16::try_from(self.ports.len()).unwrap();
        let port = *self.ports.entry(inner).or_insert(free);
        self.inners.insert(port, inner);
        self.sent.insert((port, to));
        packet.set_from(SocketAddrV4::new(self.outside, port));
        Some(packet)
    }

    /// What becomes of a packet that comes for the machine.
    pub(crate) fn let_in(&self, mut packet: Packet) -> Option<Packet> {
        if self.behind == Behind::Public {
            return Some(packet);
        }
        let port = packet.to().port();
        let inner = self.inners.get(&port).filter(|inner| inner.protocol == packet.ip.protocol)?;
        if !self.sent.contains(&(port, packet.from())) {
            return None;
        }
        packet.set_to(inner.addr);
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    const RELAY: Ipv4Addr = Ipv4Addr::new(11, 0, 0, 1);
    const OUTSIDE: Ipv4Addr = Ipv4Addr::new(11, 0, 0, 2);

    fn addr(text: &str) -> SocketAddrV4 {
        text.parse().unwrap()
    }

    fn datagram(from: &str, to: &str) -> Packet {
        let (from, to) = (addr(from), addr(to));
        let packet = PacketBuilder::ipv4(from.ip().octets(), to.ip().octets(), 64).udp(from.port(), to.port());
        let mut bytes = Vec::new();
        packet.write(&mut bytes, b"hello").unwrap();
        Packet::read(&bytes).unwrap()
    }

    /// Under which addresses a router sends from one inner port to the relay and to another machine.
    fn ports(behind: Behind) -> [Option<SocketAddrV4>; 2] {
        let mut router = Router::new(behind, OUTSIDE, RELAY);
        ["11.0.0.1:4404", "11.0.0.3:4404"]
            .map(|to| router.let_out(datagram("192.168.1.2:4404", to)).map(|packet| packet.from()))
    }

    #[test]
    fn each_router_gives_ports_as_its_name_says() {
        let [one, other] = ports(Behind::Cone);
        assert_eq!(one, Some(addr("11.0.0.2:20000")));
        assert_eq!(one, other);
        let [one, other] = ports(Behind::Symmetric);
        assert_eq!([one, other], [Some(addr("11.0.0.2:20000")), Some(addr("11.0.0.2:20001"))]);
        let [one, other] = ports(Behind::RelayOnly);
        assert_eq!([one, other], [Some(addr("11.0.0.2:20000")), None]);
    }

    #[test]
    fn only_who_was_sent_something_may_answer_and_the_checksums_are_right() {
        let mut router = Router::new(Behind::Cone, OUTSIDE, RELAY);
        let sent = router.let_out(datagram("192.168.1.2:4404", "11.0.0.1:4404")).unwrap();
        assert_eq!(sent.from(), addr("11.0.0.2:20000"));
        let answer = router.let_in(datagram("11.0.0.1:4404", "11.0.0.2:20000")).unwrap();
        assert_eq!(answer.to(), addr("192.168.1.2:4404"));
        for stranger in ["11.0.0.1:4405", "11.0.0.3:4404"] {
            assert!(router.let_in(datagram(stranger, "11.0.0.2:20000")).is_none());
        }
        assert!(router.let_in(datagram("11.0.0.1:4404", "11.0.0.2:4404")).is_none());
        let same = datagram("11.0.0.1:4404", "192.168.1.2:4404").write();
        assert_eq!(answer.write(), same, "as if it had been sent so");
    }
}
