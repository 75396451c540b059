//! Every bound on connections and requests, and who uses how much.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::client_address::{ClientAddress, PeerAddress, Trust};
use super::crowd::{Crowd, Wanted};
use crate::metrics::Network;

/// Answers of up to so many bytes are not counted: the number of requests bounds them.
pub(super) const LARGE: usize = 16 * 1024;

/// How soon to look again, at the soonest, when nobody can be asked to give way.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Bounds on what the network may cost. The defaults are for production; tests shorten them.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at a time. For one more, the one gives way that has kept us waiting longest; it waits, and the next
    /// in the kernel, while there is none.
    pub connections: usize,
    /// How long a connection may keep us waiting before it must give way to another.
    pub patience: Duration,
    /// Connections at a time from one client address (an IPv6 /64 is one). More are closed. Not for trusted proxies
    /// and unix sockets.
    pub connections_per_client: usize,
    /// Requests at a time, from their headers to the last byte of the answer; HTTP/2 has many on a connection. More
    /// are answered 503.
    pub requests: usize,
    /// Requests at a time from one client address, as above.
    pub requests_per_client: usize,
    /// Bytes of large answers at a time that clients have not taken. Beyond it one is answered 503 instead, and whoever
    /// has kept us waiting longest gives way.
    pub answer_bytes: usize,
    /// Whose connections are not counted by address.
    pub trust: Trust,
    /// A TLS handshake.
    pub handshake: Duration,
    /// From a request's first byte to the end of its headers; from the handshake to the first request.
    pub header_read: Duration,
    /// Between two requests. Down to `header_read` while more than three quarters of the places are taken.
    pub idle: Duration,
    /// How long an answer may wait for the client to take any of it. For a request's body: how long it may take
    /// beyond one second for each KiB.
    pub stall: Duration,
    /// Size of a request's headers, bytes, at least 8192. Larger ones are answered 431.
    pub header_bytes: usize,
    /// Number of a request's headers. More are answered 431.
    pub headers: usize,
    /// HTTP/2 requests at a time on one connection.
    pub http2_streams: u32,
    /// How often a silent HTTP/2 connection is asked whether it lives.
    pub ping: Duration,
    /// At the end, how long requests in flight may take.
    pub drain: Duration,
    /// How long a connection may take to go when asked to, and a new one to send its request when the server stops.
    pub linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            patience: Duration::from_millis(500),
            connections_per_client: 512,
            requests: 4096,
            requests_per_client: 2048,
            answer_bytes: 64 * 1024 * 1024,
            trust: Trust::default(),
            handshake: Duration::from_secs(10),
            header_read: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            stall: Duration::from_secs(30),
            header_bytes: 16 * 1024,
            headers: 64,
            http2_streams: 100,
            ping: Duration::from_secs(30),
            drain: Duration::from_secs(30),
            linger: Duration::from_secs(1),
        }
    }
}

impl Limits {
    /// At most `connections` at a time, and half of them for one client address.
    pub fn with_connections(connections: usize) -> Self {
        let connections = connections.max(1);
        Self { connections, connections_per_client: connections.div_ceil(2), ..Self::default() }
    }
}

/// Limits that may be replaced while the server runs. A connection keeps those it began under, but for the number of
/// connections and requests, which are judged by the newest.
#[derive(Clone, Debug)]
pub struct LiveLimits(Arc<Live>);

#[derive(Debug)]
struct Live {
    current: ArcSwap<Limits>,
    taken: AtomicUsize,
    /// Bytes of large answers.
    held: AtomicUsize,
    /// Woken when a connection may have become free.
    freed: Notify,
}

impl From<Limits> for LiveLimits {
    fn from(limits: Limits) -> Self {
        let current = ArcSwap::from_pointee(limits);
        Self(Arc::new(Live { current, taken: AtomicUsize::new(0), held: AtomicUsize::new(0), freed: Notify::new() }))
    }
}

impl LiveLimits {
    /// What holds now.
    pub fn current(&self) -> Arc<Limits> {
        self.0.current.load_full()
    }

    /// What holds from now on.
    pub fn replace(&self, limits: Limits) {
        self.0.current.store(Arc::new(limits));
        self.0.freed.notify_one();
    }

    /// Waits until one more connection may be served, for which another of `crowd` may have to go. For one caller at a
    /// time, the accept loop.
    pub(super) async fn place(&self, crowd: &Crowd) -> Place {
        loop {
            let limits = self.current();
            if count_in(&self.0.taken, limits.connections) {
                return Place(self.clone());
            }
            // One that became free since is remembered.
            let freed = self.0.freed.notified();
            match crowd.want_place(limits.patience) {
                Wanted::OnItsWay => freed.await,
                Wanted::In(wait) => _ = timeout(wait, freed).await,
                // Work ends, and no mark is left for us when it does.
                Wanted::Nobody => _ = timeout(limits.patience.max(LOOK_AGAIN), freed).await,
            }
        }
    }

    /// Counts an answer of so many bytes in, unless there is too much to hold already.
    fn hold(&self, bytes: usize) -> Option<HeldBytes> {
        let before = self.0.held.fetch_add(bytes, Ordering::Relaxed);
        let held = HeldBytes(self.clone(), bytes);
        // One that is larger than what all may have gets through alone.
        (before == 0 || before.saturating_add(bytes) <= self.0.current.load().answer_bytes).then_some(held)
    }

    /// Whether less than a quarter of the places is left.
    pub(super) fn is_crowded(&self) -> bool {
        let connections = self.0.current.load().connections;
        connections.saturating_sub(self.0.taken.load(Ordering::Relaxed)) < connections / 4
    }
}

/// A connection's place, until dropped.
pub(super) struct Place(LiveLimits);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.taken.fetch_sub(1, Ordering::Relaxed);
        self.0.0.freed.notify_one();
    }
}

/// A large answer's bytes, counted until dropped.
pub(super) struct HeldBytes(LiveLimits, usize);

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.0.0.held.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// Who is connected, by client address.
pub(super) struct Guests {
    limits: LiveLimits,
    counts: Arc<Network>,
    crowd: Arc<Crowd>,
    requests: AtomicUsize,
    groups: Mutex<HashMap<u128, Arc<Group>>>,
}

#[derive(Default)]
struct Group {
    connections: AtomicUsize,
    requests: AtomicUsize,
}

impl Guests {
    pub(super) fn new(limits: LiveLimits, counts: Arc<Network>) -> Arc<Self> {
        let (crowd, requests) = (Arc::default(), AtomicUsize::new(0));
        Arc::new(Self { limits, counts, crowd, requests, groups: Mutex::default() })
    }

    /// Those of them who have a place.
    pub(super) fn crowd(&self) -> &Arc<Crowd> {
        &self.crowd
    }

    /// Counts a connection in, unless its address has too many.
    pub(super) fn admit(self: &Arc<Self>, peer: PeerAddress) -> Option<Arc<Guest>> {
        let limits = self.limits.current();
        let counted = match peer {
            PeerAddress::Ip(ip) if !limits.trust.includes(peer) => Some(ClientAddress::new(ip).group),
            PeerAddress::Ip(_) | PeerAddress::Unix => None,
        };
        let group = match counted {
            None => None,
            Some(key) => {
                let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
                let group = groups.entry(key).or_default();
                // Counted only under the lock, so that the last one out can remove the entry.
                if group.connections.load(Ordering::Relaxed) >= limits.connections_per_client {
                    return None;
                }
                group.connections.fetch_add(1, Ordering::Relaxed);
                Some((key, group.clone()))
            }
        };
        Some(Arc::new(Guest { guests: self.clone(), group }))
    }
}

/// One connection, counted until dropped.
pub(super) struct Guest {
    guests: Arc<Guests>,
    group: Option<(u128, Arc<Group>)>,
}

impl Guest {
    /// Where it is counted what is refused.
    pub(super) fn counts(&self) -> &Network {
        &self.guests.counts
    }

    /// Counts a request in, unless there are too many.
    pub(super) fn request(self: &Arc<Self>) -> Option<RequestPlace> {
        let limits = self.guests.limits.current();
        if !count_in(&self.guests.requests, limits.requests) {
            self.counts().overload.one();
            return None;
        }
        if let Some((_, group)) = &self.group
            && !count_in(&group.requests, limits.requests_per_client)
        {
            self.guests.requests.fetch_sub(1, Ordering::Relaxed);
            self.counts().overload.one();
            return None;
        }
        Some(RequestPlace(self.clone()))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let Some((key, group)) = &self.group else { return };
        let mut groups = self.guests.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if group.connections.fetch_sub(1, Ordering::Relaxed) == 1
            && let Entry::Occupied(entry) = groups.entry(*key)
        {
            entry.remove();
        }
    }
}

/// One request, counted until dropped.
pub(super) struct RequestPlace(Arc<Guest>);

impl RequestPlace {
    /// Counts an answer of so many bytes in, unless there is too much to hold already.
    pub(super) fn hold(&self, bytes: usize) -> Option<HeldBytes> {
        let guests = &self.0.guests;
        let held = guests.limits.hold(bytes);
        if held.is_none() {
            guests.counts.overload.one();
            guests.crowd.want_memory(guests.limits.current().patience);
        }
        held
    }
}

impl Drop for RequestPlace {
    fn drop(&mut self) {
        self.0.guests.requests.fetch_sub(1, Ordering::Relaxed);
        if let Some((_, group)) = &self.0.group {
            group.requests.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn count_in(counter: &AtomicUsize, most: usize) -> bool {
    let taken = counter.fetch_add(1, Ordering::Relaxed) < most;
    if !taken {
        counter.fetch_sub(1, Ordering::Relaxed);
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guests() -> Arc<Guests> {
        let trust = Trust { proxies: vec!["10.0.0.0/8".parse().unwrap()], unix: false };
        let limits = Limits { requests: 3, requests_per_client: 2, trust, ..Limits::with_connections(4) };
        Guests::new(limits.into(), Arc::default())
    }

    fn ip(text: &str) -> PeerAddress {
        PeerAddress::Ip(text.parse().unwrap())
    }

    #[test]
    fn one_address_cannot_take_every_place() {
        let guests = guests();
        let held = [guests.admit(ip("2001:db8::1")).unwrap(), guests.admit(ip("2001:db8::2")).unwrap()];
        assert!(guests.admit(ip("2001:db8::3")).is_none());
        let other = guests.admit(ip("2001:db8:0:1::1")).unwrap();
        drop((held, other));
        assert!(guests.admit(ip("2001:db8::3")).is_some());
        assert!(guests.groups.lock().unwrap().is_empty());
    }

    #[test]
    fn proxies_and_unix_peers_are_not_counted() {
        let guests = guests();
        let held: Vec<_> =
            (0..9).flat_map(|_| [guests.admit(ip("10.1.1.1")), guests.admit(PeerAddress::Unix)]).collect();
        assert!(held.iter().all(Option::is_some));
    }

    #[test]
    fn large_answers_share_what_there_is() {
        let limits = LiveLimits::from(Limits { answer_bytes: 100_000, ..Limits::default() });
        let alone = limits.hold(200_000).expect("it is the only one");
        assert!(limits.hold(20_000).is_none());
        drop(alone);
        let several: Vec<_> = (0..9).map_while(|_| limits.hold(20_000)).collect();
        assert_eq!(several.len(), 5);
        drop(several);
        assert_eq!(limits.0.held.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn requests_are_counted_by_address_and_in_all() {
        let guests = guests();
        let one = guests.admit(ip("192.0.2.1")).unwrap();
        let same = guests.admit(ip("192.0.2.1")).unwrap();
        let other = guests.admit(ip("192.0.2.2")).unwrap();
        let held = [one.request().unwrap(), same.request().unwrap()];
        assert!(one.request().is_none());
        let last = other.request().unwrap();
        assert!(other.request().is_none());
        drop((held, last));
        assert!(other.request().is_some());
        assert_eq!(guests.requests.load(Ordering::Relaxed), 0);
    }
}
