//! The figures: each beside its limit and its target, as a table and as JSON.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::Outcome;

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

    fn cells(&self) -> [String; 6] {
        [
            self.scenario.clone(),
            format!("{} {}", number(self.ours), self.unit),
            self.limit.map_or_else(|| "-".to_owned(), number),
            self.ratio().map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
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
            "ratio": self.ratio(), "target": target, "met": self.met(), "note": self.note,
        })
    }
}

/// All figures of one run.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// `ratio` (the median of the rounds) is judged; the limit is shown so that it agrees with it.
    pub(crate) fn ratio(&mut self, scenario: &str, ours: f64, ratio: f64, unit: &'static str, at_least: f64) {
        self.add(scenario, ours, unit, Some(ours / ratio), Target::AtLeast(at_least), String::new());
    }

    /// The figure must stay below `bound`, in the same unit.
    pub(crate) fn below(&mut self, scenario: &str, ours: f64, unit: &'static str, bound: f64) {
        self.add(scenario, ours, unit, None, Target::Below(bound), String::new());
    }

    /// The figure must stay above `bound`, in the same unit.
    pub(crate) fn above(&mut self, scenario: &str, ours: f64, unit: &'static str, bound: f64) {
        self.add(scenario, ours, unit, None, Target::Above(bound), String::new());
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
        let head = ["scenario", "ours", "limit", "ratio", "target", "verdict"].map(str::to_owned);
        let cells: Vec<_> = std::iter::once(head).chain(self.rows.iter().map(Row::cells)).collect();
        let widths: [usize; 6] =
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
    pub(crate) fn save(&self, path: &Path, cores: usize, users: usize) -> Outcome<()> {
        let rows: Vec<_> = self.rows.iter().map(Row::json).collect();
        let whole = json!({ "version": env!("CARGO_PKG_VERSION"), "cores": cores, "users": users, "figures": rows });
        Ok(std::fs::write(path, serde_json::to_vec_pretty(&whole)?)?)
    }

    #[expect(clippy::print_stderr, reason = "a run of minutes shows each figure as it is known")]
    fn add(&mut self, scenario: &str, ours: f64, unit: &'static str, limit: Option<f64>, target: Target, note: String) {
        let row = Row { scenario: scenario.to_owned(), ours, unit, limit, target, note };
        eprintln!("{}", row.cells().join(" | "));
        self.rows.push(row);
    }
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

fn line(cells: &[String; 6], widths: &[usize; 6]) -> String {
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
