//! A strict reader of OpenMetrics text (version 1.0.0), for the tests that scrape.

use std::collections::{BTreeMap, BTreeSet};

/// A page whose every line was understood.
pub struct Scraped {
    /// Type by family.
    pub families: BTreeMap<String, String>,
    samples: BTreeMap<(String, Labels), f64>,
}

type Labels = BTreeMap<String, String>;

impl Scraped {
    /// Reads a page; a line that breaks the form ends the test.
    #[track_caller]
    pub fn read(text: &str) -> Self {
        let body = text.strip_suffix("# EOF\n").expect("the last line is # EOF");
        let mut page = Self { families: BTreeMap::new(), samples: BTreeMap::new() };
        let mut family = Family::default();
        for line in body.lines() {
            if let Some(rest) = line.strip_prefix("# ") {
                let (keyword, rest) = rest.split_once(' ').expect("a keyword");
                let (name, value) = rest.split_once(' ').expect("a family and a text");
                if family.name != name {
                    page.end(&family);
                    assert!(is_name(name), "{line}");
                    family = Family { name: name.to_owned(), ..Family::default() };
                }
                assert!(!family.has_samples, "metadata comes before the samples: {line}");
                match keyword {
                    "HELP" => assert!(!value.trim().is_empty(), "{line}"),
                    "TYPE" => value.clone_into(&mut family.kind),
                    "UNIT" => assert!(name.ends_with(&format!("_{value}")), "{line}"),
                    _ => panic!("{line}"),
                }
                continue;
            }
            let (name, labels, value) = sample(line);
            family.takes(&name, &labels, value, line);
            let known = page.samples.insert((name, labels), value);
            assert!(known.is_none(), "twice: {line}");
        }
        page.end(&family);
        page
    }

    fn end(&mut self, family: &Family) {
        if family.name.is_empty() {
            return;
        }
        assert!(family.has_samples, "{} has a sample", family.name);
        for (labels, histogram) in &family.histograms {
            let (last, count) = (histogram.buckets.last(), histogram.count);
            assert_eq!(last, Some(&(f64::INFINITY, count.expect("a count"))), "{} {labels:?}", family.name);
            assert!(histogram.sum, "{} {labels:?} has a sum", family.name);
            let ascends = |two: &[(f64, f64)]| two[0].0 < two[1].0 && two[0].1 <= two[1].1;
            assert!(histogram.buckets.windows(2).all(ascends), "{} {labels:?}", family.name);
        }
        let known = self.families.insert(family.name.clone(), family.kind.clone());
        assert!(known.is_none(), "{} stands in one place", family.name);
    }

    /// A sample's value; 0 where there is none.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.samples.get(&(name.to_owned(), labels)).copied().unwrap_or(0.0)
    }

    /// The names of all labels.
    pub fn label_names(&self) -> BTreeSet<&str> {
        self.samples.keys().flat_map(|(_, labels)| labels.keys().map(String::as_str)).collect()
    }
}

#[derive(Default)]
struct Family {
    name: String,
    kind: String,
    has_samples: bool,
    histograms: BTreeMap<Labels, Histogram>,
}

#[derive(Default)]
struct Histogram {
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: bool,
}

impl Family {
    #[track_caller]
    fn takes(&mut self, name: &str, labels: &Labels, value: f64, line: &str) {
        self.has_samples = true;
        let suffix = name.strip_prefix(&self.name).unwrap_or_else(|| panic!("outside of its family: {line}"));
        match (self.kind.as_str(), suffix) {
            ("counter", "_total") => assert!(value >= 0.0 && value.is_finite(), "{line}"),
            ("gauge", "") => assert!(!value.is_nan(), "{line}"),
            ("histogram", "_bucket") => {
                let mut labels = labels.clone();
                let bound = labels.remove("le").expect("a bound");
                let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().expect("a number") };
                self.histograms.entry(labels).or_default().buckets.push((bound, value));
            }
            ("histogram", "_count") => self.histograms.entry(labels.clone()).or_default().count = Some(value),
            ("histogram", "_sum") => self.histograms.entry(labels.clone()).or_default().sum = true,
            (kind, suffix) => panic!("`{suffix}` is nothing of a {kind:?}: {line}"),
        }
    }
}

fn is_name(name: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit())
}

/// Name, labels and value of a line.
#[track_caller]
fn sample(line: &str) -> (String, Labels, f64) {
    let end = line.find(['{', ' ']).expect("a value");
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = Labels::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"").expect("a quoted value");
            assert!(is_name(label), "{line}");
            let mut value = String::new();
            let mut chars = after.char_indices();
            let end = loop {
                match chars.next().expect("a closing quote") {
                    (_, '\\') => match chars.next().expect("what is escaped").1 {
                        'n' => value.push('\n'),
                        c @ ('\\' | '"') => value.push(c),
                        _ => panic!("an unknown escape: {line}"),
                    },
                    (at, '"') => break at + 1,
                    (_, c) => value.push(c),
                }
            };
            assert!(labels.insert(label.to_owned(), value).is_none(), "a label twice: {line}");
            rest = &after[end..];
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').expect("one space before the value");
    (name.to_owned(), labels, value.parse().unwrap_or_else(|_| panic!("no number: {line}")))
}
