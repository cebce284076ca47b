//! Stories of real nodes on loopback: Alice, Bob, Carol, and Eve who means harm.

#[cfg(test)]
mod crowd;
#[cfg(test)]
mod dids;
#[cfg(test)]
mod finding;
#[cfg(test)]
mod forging;
#[cfg(test)]
mod frames;
#[cfg(test)]
mod gossip;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod nearby;
#[cfg(test)]
mod pointers;
#[cfg(test)]
mod reach;
mod rebirth;
#[cfg(test)]
mod relays;
#[cfg(test)]
mod rendezvous;
#[cfg(test)]
mod sparing;
#[cfg(test)]
mod streams;
