//! Requests by dialect, route and status.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::{Count, Spread};

/// The routes requests were answered at. They become known by the first one; there are as many as are written in the
/// program, whatever is asked for.
#[derive(Debug, Default)]
pub struct Routes(ArcSwap<BTreeMap<&'static str, BTreeMap<String, Arc<Route>>>>);

/// What happened at one route.
#[derive(Debug)]
pub struct Route {
    /// The API it belongs to; `server` for what belongs to none.
    pub dialect: &'static str,
    /// Its template below the dialect's mount, such as `/api-keys/{id}/revoke`; `other` for what is no route.
    pub template: String,
    by_class: [Count; 5],
    took: Spread,
}

impl Routes {
    /// The route of this template.
    pub fn at(&self, dialect: &'static str, template: &str) -> Arc<Route> {
        if let Some(route) = self.0.load().get(dialect).and_then(|routes| routes.get(template)) {
            return Arc::clone(route);
        }
        let new = Arc::new(Route::new(dialect, template));
        self.0.rcu(|known| {
            let mut known = BTreeMap::clone(known);
            known.entry(dialect).or_default().entry(template.to_owned()).or_insert_with(|| Arc::clone(&new));
            known
        });
        // Another request may have been first.
        let known = self.0.load();
        known.get(dialect).and_then(|routes| routes.get(template)).map_or(new, Arc::clone)
    }

    /// All that are known, in order.
    pub fn all(&self) -> Vec<Arc<Route>> {
        self.0.load().values().flat_map(|routes| routes.values().cloned()).collect()
    }
}

impl Route {
    fn new(dialect: &'static str, template: &str) -> Self {
        Self {
            dialect,
            template: template.to_owned(),
            by_class: Default::default(),
            took: Spread::of_seconds(&[
                250, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000,
            ]),
        }
    }

    /// One more request, answered with `status`.
    pub fn answered(&self, status: u16, took: Duration) {
        let class = usize::from(status / 100).saturating_sub(1);
        if let Some(count) = self.by_class.get(class) {
            count.one();
        }
        self.took.took(took);
    }

    /// How many were answered with each class of status: 1xx to 5xx.
    pub fn by_class(&self) -> impl Iterator<Item = (&'static str, u64)> {
        ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(self.by_class.iter().map(Count::get))
    }

    /// How long they took.
    pub fn took(&self) -> &Spread {
        &self.took
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_one_however_often_it_is_named() {
        let routes = Routes::default();
        routes.at("noma", "/me").answered(200, Duration::from_millis(1));
        routes.at("noma", "/me").answered(503, Duration::from_millis(1));
        routes.at("nora", "/me").answered(999, Duration::from_millis(1));
        let all = routes.all();
        assert_eq!(all.iter().map(|route| route.dialect).collect::<Vec<_>>(), ["noma", "nora"]);
        let counted: Vec<_> = all[0].by_class().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("2xx", 1), ("5xx", 1)]);
        assert_eq!(all[1].took().count(), 1);
    }
}
