//! What to configure, from what was measured: judged without a clock, so that a test can say every case.

use super::measure::Measured;
use crate::crypto::HashCost;

/// Whoever signs in waits no longer than this for one hash, milliseconds.
const LONGEST_MS: f64 = 1000.0;

/// The share of the machine's memory that hashing may take.
const MEMORY_SHARE: u64 = 4;

/// A dearer cost is worth a change when it is at least so many times the work.
const WORTH_IT: u64 = 2;

/// What the server must bear.
#[derive(Debug)]
pub(super) struct Needs {
    /// Sign-ins a second.
    pub(super) sign_ins: f64,
    /// Memory of the machine, KiB, where it is known.
    pub(super) memory_kib: Option<u64>,
}

/// What the configured cost is for this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Weaker than what OWASP recommends.
    TooLow,
    /// More than this machine bears.
    TooHigh,
    /// This machine bears one that is worth more.
    CouldBeHigher,
    Right,
}

impl Verdict {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::TooLow => "too_low",
            Self::TooHigh => "too_high",
            Self::CouldBeHigher => "could_be_higher",
            Self::Right => "right",
        }
    }
}

/// What to do.
#[derive(Debug)]
pub(super) struct Advice {
    pub(super) verdict: Verdict,
    /// What was found, and what is recommended, in words.
    pub(super) text: String,
    /// What to configure; `None` when nothing that was measured will do.
    pub(super) recommended: Option<HashCost>,
}

/// Judges the configured cost; the first of `preferred` that the machine bears is what else there is.
pub(super) fn advise(configured: Measured, preferred: &[Measured], needs: &Needs) -> Advice {
    let strong: Vec<_> = preferred.iter().filter(|measured| measured.cost.meets_owasp()).collect();
    let best = strong.iter().find(|measured| hurdle(measured, needs).is_none());
    let weak = !configured.cost.meets_owasp();
    let (verdict, found) = match hurdle(&configured, needs) {
        _ if weak => {
            let why = "it is below what OWASP recommends, so stolen hashes are guessed fast";
            (Verdict::TooLow, format!("The configured cost is too low: {why}."))
        }
        Some(why) => (Verdict::TooHigh, format!("The configured cost is too high for this machine: {why}.")),
        None if best.is_some_and(|best| work(best.cost) >= WORTH_IT * work(configured.cost)) => {
            let bears = "this machine bears one that is at least twice the work for whoever guesses";
            (Verdict::CouldBeHigher, format!("The configured cost could be higher: {bears}."))
        }
        None => {
            let text = format!("The configured cost is right for this machine: {}.", gives(&configured));
            return Advice { verdict: Verdict::Right, text, recommended: Some(configured.cost) };
        }
    };
    if let Some(best) = best {
        let text = format!("{found} Recommended: {}, which gives {}.", spelled(best.cost), gives(best));
        return Advice { verdict, text, recommended: Some(best.cost) };
    }
    // Nothing will do: the least that is not weak.
    let all = strong.into_iter().chain((!weak).then_some(&configured));
    let Some(least) = all.max_by(|one, other| one.rate.total_cmp(&other.rate)) else {
        let text = format!("{found} None of the others is as good as what OWASP recommends; measure the usual ones.");
        return Advice { verdict, text, recommended: None };
    };
    let text = format!(
        "{found} Nothing that is as good as what OWASP recommends will do here; the fastest is {}, with {}. Take that, and \
         a faster machine: a lower cost would give the passwords away.",
        spelled(least.cost),
        gives(least)
    );
    Advice { verdict, text, recommended: Some(least.cost) }
}

/// Why the machine does not bear this cost.
fn hurdle(measured: &Measured, needs: &Needs) -> Option<String> {
    let (rate, wanted) = (measured.rate, needs.sign_ins);
    if rate < wanted {
        return Some(format!("it gives {rate:.1} sign-ins a second, and {wanted} are wanted (--sign-ins)"));
    }
    if measured.hash_ms() > LONGEST_MS {
        return Some(format!("one hash takes {:.0} ms, and nobody should wait for a second", measured.hash_ms()));
    }
    let (all, most) = (measured.memory_in_all_kib(), needs.memory_kib? / MEMORY_SHARE);
    (all > most).then(|| {
        let [all, most] = [all, most].map(|kib| kib / 1024);
        format!("all threads together take {all} MiB, and a quarter of this machine's memory is {most} MiB")
    })
}

/// What whoever guesses pays for each guess, in KiB filled.
fn work(cost: HashCost) -> u64 {
    u64::from(cost.memory_kib) * u64::from(cost.iterations)
}

fn spelled(cost: HashCost) -> String {
    let end = if cost.iterations == 1 { "" } else { "es" };
    format!("{} KiB and {} pass{end}", cost.memory_kib, cost.iterations)
}

fn gives(measured: &Measured) -> String {
    format!("{:.0} sign-ins a second at {:.0} ms a hash", measured.rate, measured.hash_ms())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On two threads, by the time one filled GiB takes.
    fn measured(memory_kib: u32, iterations: u32, gib_ms: f64) -> Measured {
        let cost = HashCost { memory_kib, iterations, parallelism: 1 };
        let hash_ms = work(cost) as f64 / f64::from(1 << 20) * gib_ms;
        Measured { cost, threads: 2, rate: 2000.0 / hash_ms, share: 1.0 }
    }

    fn advice(configured: (u32, u32), gib_ms: f64, memory_mib: u64) -> Advice {
        let preferred = [(65_536, 3), (19_456, 2), (47_104, 1), (12_288, 3)];
        let preferred = preferred.map(|(memory, passes)| measured(memory, passes, gib_ms));
        let needs = Needs { sign_ins: 50.0, memory_kib: Some(memory_mib * 1024) };
        advise(measured(configured.0, configured.1, gib_ms), &preferred, &needs)
    }

    fn told(advice: &Advice) -> (Verdict, Option<(u32, u32)>) {
        (advice.verdict, advice.recommended.map(|cost| (cost.memory_kib, cost.iterations)))
    }

    #[test]
    fn every_machine_gets_a_cost_that_it_bears() {
        let default = (19_456, 2);
        // A server of today, a fast one, one with little memory, a slow one, one that nothing helps.
        assert_eq!(told(&advice(default, 350.0, 8192)), (Verdict::Right, Some(default)));
        assert_eq!(told(&advice(default, 150.0, 8192)), (Verdict::CouldBeHigher, Some((65_536, 3))));
        assert_eq!(told(&advice(default, 150.0, 256)), (Verdict::Right, Some(default)));
        assert_eq!(told(&advice((65_536, 3), 350.0, 8192)), (Verdict::TooHigh, Some(default)));
        let hopeless = advice(default, 3500.0, 8192);
        assert_eq!(told(&hopeless), (Verdict::TooHigh, Some((12_288, 3))));
        assert!(hopeless.text.contains("a faster machine"), "{}", hopeless.text);
    }

    #[test]
    fn why_a_cost_is_too_high_is_said() {
        let too_slow = advice((65_536, 3), 350.0, 8192).text;
        assert!(too_slow.contains("it gives 30.5 sign-ins a second, and 50 are wanted"), "{too_slow}");
        let too_large = advice((65_536, 3), 150.0, 400).text;
        assert!(too_large.contains("take 128 MiB, and a quarter of this machine's memory is 100 MiB"), "{too_large}");
    }

    #[test]
    fn a_weak_cost_is_never_recommended() {
        assert_eq!(told(&advice((8192, 1), 350.0, 8192)), (Verdict::TooLow, Some((19_456, 2))));
        let weak = [measured(8192, 2, 350.0)];
        let needs = Needs { sign_ins: 1.0, memory_kib: None };
        assert_eq!(told(&advise(measured(8192, 1, 350.0), &weak, &needs)), (Verdict::TooLow, None));
        // The configured one is better than all others.
        let kept = advise(measured(19_456, 2, 350.0), &weak, &needs);
        assert_eq!(told(&kept), (Verdict::Right, Some((19_456, 2))));
    }
}
