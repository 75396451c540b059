//! Sequences that found something once, made small, and those that look at one rule each.

use keystead::dialect::Dialect;

use super::drive::Stage;
use super::step::{Door, Step, Who};
use super::{runtime, tell};

const ADA: Who = Who { person: 0, spelling: 0 };

fn door(dialect: Dialect) -> Door {
    Door { dialect, project: 0, client: 0 }
}

/// Plays sequences that must hold.
fn hold(sequences: &[Vec<Step>]) {
    let runtime = runtime();
    let stage = runtime.block_on(Stage::new());
    for steps in sequences {
        let played = runtime.block_on(stage.play(steps, &mut String::new()));
        assert!(played.is_ok(), "{}", tell(&runtime, &stage, steps));
    }
}

/// Every life, window and grace, a second before its end and at it.
#[test]
fn each_end_comes_at_its_second() {
    let mut sequences = Vec::new();
    for dialect in Dialect::ALL {
        let door = door(dialect);
        let begin =
            [Step::SignUp { door, who: ADA, word: 0, times: 1 }, Step::SignIn { door, who: ADA, word: 0, times: 1 }];
        for seconds in [9, 10, 899, 900, 604_799, 604_800, 2_591_999, 2_592_000] {
            let (wait, refresh) = (Step::Wait { seconds }, Step::Refresh { with: 0, times: 1 });
            sequences.push([&begin[..], &[wait]].concat());
            sequences.push([&begin[..], &[refresh, wait, Step::Refresh { with: 1, times: 1 }]].concat());
        }
        for seconds in [599, 600, 1199, 1200] {
            let wrong = |times| Step::SignIn { door, who: ADA, word: 1, times };
            let (right, wait) = (Step::SignIn { door, who: ADA, word: 0, times: 1 }, Step::Wait { seconds });
            sequences.push([&begin[..], &[wrong(2), wait, wrong(1), right]].concat());
            sequences.push([&begin[..], &[wrong(3), wait, right]].concat());
        }
    }
    hold(&sequences);
}
