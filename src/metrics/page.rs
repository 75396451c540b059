//! All instruments as OpenMetrics text, for one scrape.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::{Registry, Unit};

use super::process::ProcessNow;
use super::{Delivery, Metrics, Refresh, SignIn, Spread};

/// What no instrument counts, because somebody knows it at any time: asked for at each scrape.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The program's version.
    pub version: &'static str,
    /// When the server started, seconds since 1970.
    pub started_at: u64,
    /// Projects there are.
    pub projects: u64,
    /// Projects whose files are open.
    pub projects_open: u64,
    /// Hashes that wait.
    pub hashes_waiting: u64,
    /// Hashes computed so far.
    pub hashes_computed: u64,
    /// Memory the hashing threads hold, bytes.
    pub hashing_memory: u64,
    /// Until when the certificate is good, seconds since 1970; `None` without TLS.
    pub certificate_until: Option<u64>,
    /// What waits in the outboxes of open projects, and their dead letters.
    pub outbox: (u64, u64),
    /// What readiness is made of: each check's name, and 0 when all is well, 1 with a warning, 2 when not ready.
    pub checks: Vec<(&'static str, u64)>,
}

/// The text of one scrape.
pub fn page(metrics: &Arc<Metrics>, page: Page) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape { metrics: Arc::clone(metrics), page, process: ProcessNow::look() }));
    let mut text = String::with_capacity(16 * 1024);
    encode(&mut text, &registry).expect("a string takes everything");
    text
}

#[derive(Debug)]
struct Scrape {
    metrics: Arc<Metrics>,
    page: Page,
    process: ProcessNow,
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        self.http(&mut out)?;
        self.network(&mut out)?;
        self.accounts(&mut out)?;
        self.engine(&mut out)?;
        self.server(&mut out)?;
        self.process(&mut out)
    }
}

impl Scrape {
    fn http(&self, out: &mut Out<'_>) -> fmt::Result {
        let routes = self.metrics.requests.all();
        let mut requests = Vec::new();
        for route in &routes {
            for (class, count) in route.by_class().filter(|(_, count)| *count > 0) {
                let labels = vec![("dialect", route.dialect), ("route", &*route.template), ("status", class)];
                requests.push((labels, count));
            }
        }
        out.counters("keystead_http_requests", "Requests answered, by API, route and class of status.", &requests)?;
        let took = routes
            .iter()
            .map(|route| (vec![("dialect", route.dialect), ("route", &*route.template)], route.took()))
            .collect::<Vec<_>>();
        let help = "From a request's headers to its answer's.";
        out.spreads("keystead_http_request_duration", help, Some(&Unit::Seconds), &took)
    }

    fn network(&self, out: &mut Out<'_>) -> fmt::Result {
        let network = &self.metrics.network;
        out.gauge("keystead_connections", "Connections open.", None, network.open.get())?;
        out.counter("keystead_connections_accepted", "Connections accepted.", network.accepted.get())?;
        let help = "Connections closed at once because their address had too many.";
        out.counter("keystead_connections_turned_away", help, network.turned_away.get())?;
        let help = "Connections closed because all places were taken and they kept the server waiting longest.";
        out.counter("keystead_connections_gave_way", help, network.gave_way.get())?;
        let failures = [("failed", &network.handshakes_failed), ("timeout", &network.handshakes_slow)];
        let failures = failures.map(|(reason, count)| (vec![("reason", reason)], count.get()));
        out.counters("keystead_tls_handshake_failures", "TLS handshakes that came to nothing.", &failures)?;
        let refused = [("headers", &network.oversized), ("overload", &network.overload)];
        let refused = refused.map(|(reason, count)| (vec![("reason", reason)], count.get()));
        out.counters("keystead_requests_refused", "Requests refused before anything looked at them.", &refused)
    }

    fn accounts(&self, out: &mut Out<'_>) -> fmt::Result {
        let metrics = &self.metrics;
        let sign_ins = SignIn::ALL.map(|(kind, word)| (vec![("outcome", word)], metrics.sign_ins.get(kind)));
        out.counters("keystead_sign_ins", "Attempts to sign in, by how they ended.", &sign_ins)?;
        let refreshes = Refresh::ALL.map(|(kind, word)| (vec![("outcome", word)], metrics.refreshes.get(kind)));
        let help = "Refresh tokens presented, by how they were answered.";
        out.counters("keystead_refreshes", help, &refreshes)?;
        let help = "Refresh tokens presented after their successors were in use: the session was ended.";
        out.counter("keystead_token_thefts", help, metrics.thefts.get())?;
        out.counter("keystead_lockouts", "Addresses locked for too many wrong answers.", metrics.lockouts.get())
    }

    fn engine(&self, out: &mut Out<'_>) -> fmt::Result {
        let (metrics, page) = (&self.metrics, &self.page);
        out.gauge("keystead_hashes_waiting", "Password hashes that wait their turn.", None, page.hashes_waiting)?;
        out.counter("keystead_hashes", "Password hashes computed.", page.hashes_computed)?;
        let help = "Password hashes refused because too many waited.";
        out.counter("keystead_hashes_refused", help, metrics.hashing.refused.get())?;
        let waits = [(Vec::new(), &metrics.hashing.waits)];
        out.spreads("keystead_hash_wait", "How long a hash waited its turn.", Some(&Unit::Seconds), &waits)?;
        let help = "Memory the hashing threads hold.";
        out.gauge("keystead_hashing_memory", help, Some(&Unit::Bytes), page.hashing_memory)?;
        let commits = [(Vec::new(), &metrics.store.commits)];
        let help = "Durable commits of project files.";
        out.spreads("keystead_store_commit_duration", help, Some(&Unit::Seconds), &commits)?;
        let batches = [(Vec::new(), &metrics.store.batches)];
        out.spreads("keystead_store_batch_jobs", "Changes committed together.", None, &batches)?;
        out.counter("keystead_store_commit_failures", "Commits that failed.", metrics.store.failed.get())?;
        out.counter("keystead_swept_rows", "Rows removed because their time was over.", metrics.swept.get())
    }

    fn server(&self, out: &mut Out<'_>) -> fmt::Result {
        let page = &self.page;
        out.gauge("keystead_projects", "Projects there are.", None, page.projects)?;
        out.gauge("keystead_projects_open", "Projects whose files are open.", None, page.projects_open)?;
        if let Some(until) = page.certificate_until {
            let help = "When the served certificate expires, since 1970.";
            out.gauge("keystead_certificate_expiry", help, Some(&Unit::Seconds), until)?;
        }
        if let Some(at) = self.metrics.backups.last() {
            let help = "When the last backup was taken that the server takes by itself, since 1970.";
            out.gauge("keystead_backup_last_success_timestamp", help, Some(&Unit::Seconds), at)?;
        }
        let outbox = [(vec![("state", "waiting")], page.outbox.0), (vec![("state", "dead")], page.outbox.1)];
        out.gauges("keystead_outbox", "What is in the outboxes of open projects.", None, &outbox)?;
        let deliveries = Delivery::ALL.map(|(kind, [what, result])| {
            (vec![("kind", what), ("result", result)], self.metrics.deliveries.get(kind))
        });
        let help = "Attempts to deliver mails and webhooks; what is postponed is tried again.";
        out.counters("keystead_deliveries", help, &deliveries)?;
        let checks: Vec<_> = page.checks.iter().map(|(name, state)| (vec![("check", *name)], *state)).collect();
        let help = "What /readyz says: 0 all is well, 1 degraded, 2 not ready.";
        out.gauges("keystead_health", help, None, &checks)?;
        let lost = self.metrics.lost_lines.get();
        out.counter("keystead_log_lines_dropped", "Log lines dropped because nobody took them.", lost)?;
        out.gauges("keystead_build_info", "The program.", None, &[(vec![("version", page.version)], 1)])
    }

    fn process(&self, out: &mut Out<'_>) -> fmt::Result {
        let (process, bytes) = (&self.process, Some(&Unit::Bytes));
        if let Some(seconds) = process.cpu_seconds {
            let unit = Some(&Unit::Seconds);
            let mut encoder = out.0.encode_descriptor("process_cpu", "CPU time used.", unit, MetricType::Counter)?;
            counter(&mut encoder, &seconds)?;
        }
        let gauges = [
            ("process_resident_memory", "Memory in RAM.", bytes, process.resident),
            ("process_open_fds", "Open file descriptors.", None, process.descriptors),
            ("process_max_fds", "The most descriptors that may be open.", None, process.most_descriptors),
            ("process_threads", "Threads.", None, process.threads),
        ];
        for (name, help, unit, value) in gauges {
            if let Some(value) = value {
                out.gauge(name, help, unit, value)?;
            }
        }
        let help = "When the server started, since 1970.";
        out.gauge("process_start_time", help, Some(&Unit::Seconds), self.page.started_at)
    }
}

type Labels<'a> = Vec<(&'static str, &'a str)>;

/// One metric family after another.
struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.counters(name, help, &[(Vec::new(), value)])
    }

    fn counters(&mut self, name: &str, help: &str, rows: &[(Labels<'_>, u64)]) -> fmt::Result {
        if rows.is_empty() {
            return Ok(());
        }
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        rows.iter().try_for_each(|(labels, value)| labelled(&mut encoder, labels, |encoder| counter(encoder, value)))
    }

    fn gauge(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: u64) -> fmt::Result {
        self.gauges(name, help, unit, &[(Vec::new(), value)])
    }

    fn gauges(&mut self, name: &str, help: &str, unit: Option<&Unit>, rows: &[(Labels<'_>, u64)]) -> fmt::Result {
        if rows.is_empty() {
            return Ok(());
        }
        let mut encoder = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        rows.iter().try_for_each(|(labels, value)| {
            let value = i64::try_from(*value).unwrap_or(i64::MAX);
            labelled(&mut encoder, labels, |encoder| encoder.encode_gauge(&value))
        })
    }

    fn spreads(&mut self, name: &str, help: &str, unit: Option<&Unit>, rows: &[(Labels<'_>, &Spread)]) -> fmt::Result {
        if rows.is_empty() {
            return Ok(());
        }
        let mut encoder = self.0.encode_descriptor(name, help, unit, MetricType::Histogram)?;
        rows.iter().try_for_each(|(labels, spread)| {
            let (sum, count, buckets) = spread.told();
            let write =
                |encoder: &mut MetricEncoder<'_>| encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None);
            labelled(&mut encoder, labels, write)
        })
    }
}

fn counter<V: EncodeCounterValue>(encoder: &mut MetricEncoder<'_>, value: &V) -> fmt::Result {
    encoder.encode_counter(value, None::<&Exemplar<NoLabelSet, u64>>)
}

fn labelled(
    encoder: &mut MetricEncoder<'_>,
    labels: &Labels<'_>,
    write: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result {
    if labels.is_empty() { write(encoder) } else { write(&mut encoder.encode_family(labels)?) }
}
