//! The figures: each beside its limit and its target, as a table and as JSON.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::Outcome;
use crate::load::Tally;

/// What a figure must reach.
#[derive(Clone, Copy)]
enum Target {
    /// The ratio to the limit.
    AtLeast(f64),
    /// The figure itself.
    Below(f64),
    /// The figure itself.
    Above(f64),
    /// It must simply hold.
    Holds,
    /// Shown, not judged.
    Shown,
}

struct Row {
    scenario: String,
    ours: f64,
    unit: &'static str,
    limit: Option<f64>,
    /// Of each answer, in milliseconds: what half of them and what 99 % did not exceed.
    latency: Option<[f64; 2]>,
    target: Target,
    note: String,
}

impl Row {
    fn ratio(&self) -> Option<f64> {
        self.limit.map(|limit| self.ours / limit)
    }

    /// `None` when there is nothing to judge. A figure that is not a number misses its target.
    fn met(&self) -> Option<bool> {
        match self.target {
            Target::AtLeast(bound) => Some(self.ratio().is_some_and(|ratio| ratio >= bound)),
            Target::Below(bound) => Some(self.ours < bound),
            Target::Above(bound) => Some(self.ours > bound),
            Target::Holds => Some(self.ours > 0.0),
            Target::Shown => None,
        }
    }

    fn target_text(&self) -> String {
        match self.target {
            Target::AtLeast(bound) => format!(">= {bound:.2}"),
            Target::Below(bound) => format!("< {}", number(bound)),
            Target::Above(bound) => format!("> {}", number(bound)),
            Target::Holds => "holds".to_owned(),
            Target::Shown => "-".to_owned(),
        }
    }

    fn verdict(&self) -> &'static str {
        match self.met() {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "-",
        }
    }

    fn cells(&self) -> [String; COLUMNS] {
        let or_none = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), number);
        [
            self.scenario.clone(),
            format!("{} {}", number(self.ours), self.unit),
            or_none(self.limit),
            self.ratio().map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
            or_none(self.latency.map(|[p50, _]| p50)),
            or_none(self.latency.map(|[_, p99]| p99)),
            self.target_text(),
            format!("{} {}", self.verdict(), self.note).trim_end().to_owned(),
        ]
    }

    fn json(&self) -> Value {
        let target = match self.target {
            Target::AtLeast(bound) => json!({ "ratio_at_least": bound }),
            Target::Below(bound) => json!({ "below": bound }),
            Target::Above(bound) => json!({ "above": bound }),
            Target::Holds => json!({ "holds": true }),
            Target::Shown => Value::Null,
        };
        json!({
            "scenario": self.scenario, "ours": self.ours, "unit": self.unit, "limit": self.limit,
            "ratio": self.ratio(), "p50_ms": self.latency.map(|[p50, _]| p50),
            "p99_ms": self.latency.map(|[_, p99]| p99), "target": target, "met": self.met(), "note": self.note,
        })
    }
}

const COLUMNS: usize = 8;

/// What one kind of load made of one server: a rate, and how long each answer took.
#[derive(Clone, Copy)]
pub(crate) struct Figure {
    /// Answers a second.
    pub(crate) rate: f64,
    /// What half of the answers did not exceed, milliseconds.
    pub(crate) p50: f64,
    /// What 99 % of them did not exceed, milliseconds.
    pub(crate) p99: f64,
}

/// All figures of one run.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// A load beside its limit. `ratio` (the median of the rounds) is judged where there is a target; the limit is shown
    /// so that it agrees with it.
    pub(crate) fn load(&mut self, scenario: &str, ours: Figure, ratio: Option<f64>, at_least: Option<f64>, note: &str) {
        let target = at_least.map_or(Target::Shown, Target::AtLeast);
        let Figure { rate, p50, p99 } = ours;
        let limit = ratio.map(|ratio| rate / ratio);
        self.push(Row { latency: Some([p50, p99]), ..row(scenario, rate, "/s", limit, target, note.to_owned()) });
    }

    /// A probe: what it judges is the p99, which must stay below `bound` where there is one, in milliseconds.
    pub(crate) fn latency(&mut self, scenario: &str, tally: &mut Tally, bound: Option<f64>) {
        let [p50, p99] = [0.5, 0.99].map(|quantile| tally.quantile_ms(quantile));
        let target = bound.map_or(Target::Shown, Target::Below);
        let scenario = format!("{scenario}, p99");
        self.push(Row { latency: Some([p50, p99]), ..row(&scenario, p99, "ms", None, target, String::new()) });
    }

    /// The figure must stay below `bound`, in the same unit.
    pub(crate) fn below(&mut self, scenario: &str, ours: f64, unit: &'static str, bound: f64) {
        self.add(scenario, ours, unit, None, Target::Below(bound), String::new());
    }

    /// A load whose rate must stay above `bound`.
    pub(crate) fn above(&mut self, scenario: &str, ours: Figure, bound: f64, note: &str) {
        let Figure { rate, p50, p99 } = ours;
        let row = row(scenario, rate, "/s", None, Target::Above(bound), note.to_owned());
        self.push(Row { latency: Some([p50, p99]), ..row });
    }

    /// A fact that must hold.
    pub(crate) fn holds(&mut self, scenario: &str, fact: bool) {
        self.add(scenario, f64::from(u8::from(fact)), "", None, Target::Holds, String::new());
    }

    /// A scenario that could not be measured counts as missed.
    pub(crate) fn failed(&mut self, scenario: &str, why: String) {
        self.add(scenario, f64::NAN, "", None, Target::Holds, why);
    }

    /// A figure without a target, beside its limit when there is one.
    pub(crate) fn shown(&mut self, scenario: &str, ours: f64, unit: &'static str, limit: Option<f64>, note: &str) {
        self.add(scenario, ours, unit, limit, Target::Shown, note.to_owned());
    }

    /// Whether no target was missed.
    pub(crate) fn all_met(&self) -> bool {
        self.rows.iter().all(|row| row.met() != Some(false))
    }

    /// The table, in Markdown, so that it can stand in the README as it is.
    pub(crate) fn table(&self) -> String {
        let head = ["scenario", "ours", "limit", "ratio", "p50 ms", "p99 ms", "target", "verdict"].map(str::to_owned);
        let cells: Vec<_> = std::iter::once(head).chain(self.rows.iter().map(Row::cells)).collect();
        let widths: [usize; COLUMNS] =
            std::array::from_fn(|column| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or_default());
        let mut table = String::new();
        for (index, row) in cells.iter().enumerate() {
            table.push_str(&line(row, &widths));
            if index == 0 {
                table.push_str(&line(&widths.map(|width| "-".repeat(width)), &widths));
            }
        }
        table
    }

    /// Writes all figures as JSON, with what they were measured on.
    pub(crate) fn save(&self, path: &Path, about: Value) -> Outcome<()> {
        let mut whole = about;
        whole["figures"] = self.rows.iter().map(Row::json).collect();
        Ok(std::fs::write(path, serde_json::to_vec_pretty(&whole)?)?)
    }

    fn add(&mut self, scenario: &str, ours: f64, unit: &'static str, limit: Option<f64>, target: Target, note: String) {
        self.push(row(scenario, ours, unit, limit, target, note));
    }

    #[expect(clippy::print_stderr, reason = "a run of minutes shows each figure as it is known")]
    fn push(&mut self, row: Row) {
        eprintln!("{}", row.cells().join(" | "));
        self.rows.push(row);
    }
}

fn row(scenario: &str, ours: f64, unit: &'static str, limit: Option<f64>, target: Target, note: String) -> Row {
    Row { scenario: scenario.to_owned(), ours, unit, limit, latency: None, target, note }
}

/// The median of some rounds; not a number when there were none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[odd / 2],
        even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
    }
}

fn line(cells: &[String; COLUMNS], widths: &[usize; COLUMNS]) -> String {
    let mut line = String::from("|");
    for (cell, width) in cells.iter().zip(widths) {
        // Writing to a String cannot fail.
        let _ = write!(line, " {cell:<width$} |");
    }
    line + "\n"
}

fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 1000.0 => format!("{value:.0}"),
        middle if middle >= 100.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
