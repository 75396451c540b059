//! `keystead bench`: what a password hash costs on this machine, and which cost to configure.

mod advice;
mod measure;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::Surroundings;
use super::output::table;
use super::place::Place;
use crate::crypto::HashCost;
use advice::{Advice, Needs};
use measure::Measured;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// Sign-ins a second that the server must bear
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    sign_ins: u32,
    /// Seconds for each cost
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// A cost to measure instead of the usual ones, such as m=65536,t=3,p=1 (KiB, passes, lanes); the first that fits is recommended
    #[arg(long, value_name = "COST", value_parser = cost)]
    cost: Vec<HashCost>,
}

/// What is measured beside the configured cost, in the order of preference: the second choice of RFC 9106, section 4,
/// with one lane, then three choices of OWASP's that are as good as one another.
const USUAL: [(&str, u32, u32); 4] =
    [("RFC 9106", 65_536, 3), ("OWASP", 19_456, 2), ("OWASP", 47_104, 1), ("OWASP", 12_288, 3)];

/// The share of the cores below which it is said that others worked meanwhile.
const UNDISTURBED: f64 = 0.9;

/// A cost and what it is called.
struct Candidate {
    name: &'static str,
    cost: HashCost,
}

pub(super) fn run(args: &Args, around: &mut Surroundings) -> Result<()> {
    let hashing = args.place.settings(around)?.hashing;
    let configured = hashing.cost();
    let mut costs = vec![Candidate { name: "configured", cost: configured }];
    for other in others(&args.cost) {
        if other.cost != configured {
            costs.push(other);
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut measured = Vec::new();
    for Candidate { cost, .. } in &costs {
        if !args.place.json {
            around
                .console
                .note(&format!("measuring m={},t={},p={} ...", cost.memory_kib, cost.iterations, cost.parallelism));
        }
        measured.push(runtime.block_on(measure::measure(*cost, hashing.threads, args.seconds, &around.env))?);
    }
    // In the order that was asked for, wherever the configured one is among them.
    let preferred: Vec<Measured> = others(&args.cost)
        .iter()
        .filter_map(|other| measured.iter().find(|measured| measured.cost == other.cost).copied())
        .collect();
    let Some(first) = measured.first().copied() else { bail!("nothing was measured") };
    let needs = Needs { sign_ins: f64::from(args.sign_ins), memory_kib: measure::memory_kib() };
    let advice = advice::advise(first, &preferred, &needs);
    if args.place.json {
        let answer = as_json(&costs, &measured, &needs, &advice);
        return Ok(around.console.json(&answer)?);
    }
    Ok(around.console.say(&said(&costs, &measured, args.seconds, &advice))?)
}

fn others(asked: &[HashCost]) -> Vec<Candidate> {
    if asked.is_empty() {
        let usual = USUAL.into_iter().map(|(name, memory_kib, iterations)| Candidate {
            name,
            cost: HashCost { memory_kib, iterations, parallelism: 1 },
        });
        return usual.collect();
    }
    asked.iter().map(|cost| Candidate { name: "--cost", cost: *cost }).collect()
}

fn said(costs: &[Candidate], measured: &[Measured], seconds: u64, advice: &Advice) -> String {
    let row = |(candidate, measured): (&Candidate, &Measured)| {
        let HashCost { memory_kib, iterations, parallelism } = measured.cost;
        vec![
            candidate.name.to_owned(),
            memory_kib.to_string(),
            iterations.to_string(),
            parallelism.to_string(),
            format!("{:.1}", measured.hash_ms()),
            format!("{:.1}", measured.rate),
            format!("{} MiB", measured.memory_in_all_kib() / 1024),
        ]
    };
    let headings = ["COST", "MEMORY_KIB", "ITERATIONS", "PARALLELISM", "MS/HASH", "SIGN-INS/S", "MEMORY IN ALL"];
    let rows: Vec<_> = costs.iter().zip(measured).map(row).collect();
    let threads = measured.first().map_or(0, |measured| measured.threads);
    let mut text = format!("Argon2id in {threads} threads, {seconds} s for each cost\n\n{}", table(&headings, &rows));
    text.push_str("\n\nA sign-in costs one hash; TLS and HTTP take their part of the same cores.\n\n");
    let least = measured.iter().map(|measured| measured.share).fold(1.0, f64::min);
    if least < UNDISTURBED {
        let percent = 100.0 * (1.0 - least);
        text.push_str(&format!(
            "Other processes took up to {percent:.0} % of the cores meanwhile, so the figures are too low: measure again \
             while the machine is quiet.\n\n"
        ));
    }
    text.push_str(&advice.text);
    if let Some(HashCost { memory_kib, iterations, parallelism }) = advice.recommended {
        text.push_str(&format!(
            "\n\n[hashing]\nmemory_kib = {memory_kib}\niterations = {iterations}\nparallelism = {parallelism}"
        ));
    }
    text
}

fn as_json(costs: &[Candidate], measured: &[Measured], needs: &Needs, advice: &Advice) -> Value {
    let one = |(candidate, measured): (&Candidate, &Measured)| {
        let HashCost { memory_kib, iterations, parallelism } = measured.cost;
        json!({
            "name": candidate.name, "memory_kib": memory_kib, "iterations": iterations, "parallelism": parallelism,
            "hash_ms": measured.hash_ms(), "sign_ins_per_second": measured.rate,
            "memory_in_all_kib": measured.memory_in_all_kib(), "share_of_the_cores": measured.share,
        })
    };
    json!({
        "threads": measured.first().map(|measured| measured.threads),
        "sign_ins_wanted": needs.sign_ins,
        "machine_memory_kib": needs.memory_kib,
        "costs": costs.iter().zip(measured).map(one).collect::<Vec<_>>(),
        "verdict": advice.verdict.word(),
        "advice": advice.text,
        "recommended": advice.recommended.map(|HashCost { memory_kib, iterations, parallelism }| {
            json!({ "memory_kib": memory_kib, "iterations": iterations, "parallelism": parallelism })
        }),
    })
}

/// `m=65536,t=3,p=1`, as in the text of a hash; without `p` one lane.
fn cost(text: &str) -> Result<HashCost, String> {
    let wanted = || format!("{text:.40?} is not a cost: write it like m=65536,t=3,p=1");
    let [mut memory_kib, mut iterations, mut parallelism] = [None, None, None];
    for part in text.split(',') {
        let (name, value) = part.split_once('=').ok_or_else(wanted)?;
        let field = match name {
            "m" => &mut memory_kib,
            "t" => &mut iterations,
            "p" => &mut parallelism,
            _ => return Err(wanted()),
        };
        if field.replace(value.parse().map_err(|_| wanted())?).is_some() {
            return Err(wanted());
        }
    }
    let (memory_kib, iterations) = memory_kib.zip(iterations).ok_or_else(wanted)?;
    let cost = HashCost { memory_kib, iterations, parallelism: parallelism.unwrap_or(1) };
    cost.check().map_err(|error| error.to_string())?;
    Ok(cost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_written_as_in_a_hash() {
        let read = |memory_kib, iterations, parallelism| Ok(HashCost { memory_kib, iterations, parallelism });
        assert_eq!(cost("m=65536,t=3,p=4"), read(65_536, 3, 4));
        assert_eq!(cost("t=2,m=19456"), read(19_456, 2, 1));
        for wrong in ["", "m=8", "t=1", "m=8,t=1,m=9", "m=8,t=1,x=1", "m=8;t=1", "m=-8,t=1", "m=99999999999,t=1"] {
            assert!(cost(wrong).is_err_and(|told| told.contains("is not a cost")), "{wrong}");
        }
        assert!(cost("m=7,t=1").is_err_and(|told| told.contains("out of range")));
    }
}
