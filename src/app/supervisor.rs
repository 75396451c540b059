//! What a supervisor such as systemd is told (sd_notify(3)): ready, reloading, stopping, and that it still works.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::auth::Projects;

/// Whoever started the process and wants to know how it goes; nobody by default. Clones tell the same one.
#[derive(Clone, Debug, Default)]
pub struct Supervisor(Option<Arc<Told>>);

#[derive(Debug)]
struct Told {
    socket: UnixDatagram,
    address: SocketAddr,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// The one the environment names: `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` of systemd.
    ///
    /// # Errors
    /// Why the one that is named cannot be told.
    pub fn of(environment: &BTreeMap<String, String>) -> io::Result<Self> {
        let variable = |name: &str| environment.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let Some(name) = variable("NOTIFY_SOCKET") else { return Ok(Self(None)) };
        let address = match name.strip_prefix('@') {
            Some(abstract_name) => SocketAddr::from_abstract_name(abstract_name)?,
            None => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        // A supervisor that does not read must not hold anything up.
        socket.set_nonblocking(true)?;
        let is_ours = variable("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        let micros = variable("WATCHDOG_USEC").and_then(|micros| micros.parse().ok()).filter(|micros| *micros > 0);
        let watchdog = micros.filter(|_| is_ours).map(Duration::from_micros);
        Ok(Self(Some(Arc::new(Told { socket, address, watchdog }))))
    }

    /// Everything works, for the first time or again after [`Supervisor::reloading`]; `status` is for people.
    pub fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={}", one_line(status)));
    }

    /// The configuration is being read anew. To be followed by [`Supervisor::ready`], whatever comes of it.
    pub fn reloading(&self) {
        // By this clock systemd tells this reload from an earlier one (Type=notify-reload).
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000);
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\nSTATUS=reading the configuration anew"));
    }

    /// The end has begun.
    pub fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=finishing what was accepted");
    }

    fn tell(&self, message: &str) {
        if let Some(told) = &self.0
            && let Err(error) = told.socket.send_to_addr(message.as_bytes(), &told.address)
        {
            tracing::warn!(%error, "the supervisor behind NOTIFY_SOCKET cannot be told");
        }
    }
}

/// Tells the supervisor, twice in the time it allows, that the server works: that the runtime gets to this task, and
/// that the writer of every open file answers. Whatever hangs ends the beat, and the supervisor starts it anew.
pub(super) async fn beat(supervisor: Supervisor, projects: Arc<Projects>, mut stopped: watch::Receiver<bool>) {
    let Some(allowed) = supervisor.0.as_ref().and_then(|told| told.watchdog) else { return };
    let mut tick = interval(allowed / 2);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // The sender gone means the server is gone.
            _ = stopped.wait_for(|set| *set) => return,
            _ = tick.tick() => {}
        }
        let answered = timeout(allowed / 2, async {
            for project in projects.all_open() {
                project.writer_answers().await;
            }
        });
        match answered.await {
            Ok(()) => supervisor.tell("WATCHDOG=1"),
            Err(_) => tracing::error!("a store's writer does not answer; the supervisor is not told that all is well"),
        }
    }
}

/// A value of the protocol ends with its line.
fn one_line(text: &str) -> String {
    text.chars().fold(String::new(), |mut line, c| {
        let _ = line.write_char(if c.is_control() { ' ' } else { c });
        line
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(variables: &[(&str, &str)]) -> Supervisor {
        let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Supervisor::of(&environment).unwrap()
    }

    fn next(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn what_is_told_at_a_path_and_at_an_abstract_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let abstract_name = path.display().to_string();
        let there = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        for (name, socket) in [
            (abstract_name.clone(), UnixDatagram::bind(&path).unwrap()),
            (format!("@{abstract_name}"), UnixDatagram::bind_addr(&there).unwrap()),
        ] {
            let supervisor = told(&[("NOTIFY_SOCKET", &name)]);
            supervisor.ready("two lines\nof status");
            assert_eq!(next(&socket), "READY=1\nSTATUS=two lines of status");
            supervisor.reloading();
            let message = next(&socket);
            let fields: BTreeMap<_, _> = message.lines().filter_map(|line| line.split_once('=')).collect();
            assert_eq!(fields["RELOADING"], "1");
            assert!(fields["MONOTONIC_USEC"].parse::<u64>().unwrap() > 0);
            supervisor.stopping();
            assert!(next(&socket).starts_with("STOPPING=1\n"));
        }
    }

    #[test]
    fn nobody_is_told_where_nobody_asked_and_a_supervisor_who_has_gone_harms_nothing() {
        told(&[]).ready("nobody listens");
        told(&[("NOTIFY_SOCKET", "")]).ready("nobody listens");
        told(&[("NOTIFY_SOCKET", "/nowhere/notify")]).ready("nobody listens");
        let environment = BTreeMap::from([("NOTIFY_SOCKET".to_owned(), format!("/{}", "x".repeat(200)))]);
        assert!(Supervisor::of(&environment).is_err());
    }

    #[test]
    fn the_watchdog_is_this_process_s_or_none() {
        let watchdog = |variables: &[(&str, &str)]| {
            let named = [variables, &[("NOTIFY_SOCKET", "/nowhere/notify")]].concat();
            told(&named).0.and_then(|told| told.watchdog)
        };
        let own = std::process::id().to_string();
        assert_eq!(watchdog(&[]), None);
        assert_eq!(watchdog(&[("WATCHDOG_USEC", "3000000")]), Some(Duration::from_secs(3)));
        assert_eq!(watchdog(&[("WATCHDOG_USEC", "3000000"), ("WATCHDOG_PID", &own)]), Some(Duration::from_secs(3)));
        assert_eq!(watchdog(&[("WATCHDOG_USEC", "3000000"), ("WATCHDOG_PID", "1")]), None);
        for odd in ["0", "-1", "soon", ""] {
            assert_eq!(watchdog(&[("WATCHDOG_USEC", odd)]), None, "{odd:?}");
        }
    }
}
