//! Sequences that found something once, made small, and those that look at a rule that chance seldom meets.

use keystead::dialect::Dialect;

use super::drive::Stage;
use super::step::{Door, Order, Step, Who, Wish};
use super::{runtime, tell};

const ADA: Who = Who { person: 0, spelling: 0 };
const BOB: Who = Who { person: 2, spelling: 0 };
const NOMA: Door = Door { dialect: Dialect::Noma, project: 0, client: 0 };
const NORA: Door = Door { dialect: Dialect::Nora, ..NOMA };
const NHOST: Door = Door { dialect: Dialect::Nhost, ..NOMA };

fn sign_up(door: Door, who: Who) -> Step {
    Step::SignUp { door, who, word: 0, times: 1 }
}

fn sign_in(door: Door, word: usize, times: usize) -> Step {
    Step::SignIn { door, who: ADA, word, times }
}

fn ask(wish: Wish, who: Who) -> Step {
    Step::Ask { wish, project: 0, client: 0, who }
}

fn order(order: Order) -> Step {
    Step::Operator { order, project: 0, person: 0 }
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
    for door in [NOMA, NORA, NHOST] {
        let begin = [sign_up(door, ADA), sign_in(door, 0, 1)];
        for seconds in [9, 10, 899, 900, 604_799, 604_800, 2_591_999, 2_592_000] {
            let (wait, refresh) = (Step::Wait { seconds }, Step::Refresh { with: 0, times: 1 });
            sequences.push([&begin[..], &[wait]].concat());
            sequences.push([&begin[..], &[refresh, wait, Step::Refresh { with: 1, times: 1 }]].concat());
        }
        for seconds in [599, 600, 1199, 1200] {
            let wait = Step::Wait { seconds };
            sequences
                .push([&begin[..], &[sign_in(door, 1, 2), wait, sign_in(door, 1, 1), sign_in(door, 0, 1)]].concat());
            sequences.push([&begin[..], &[sign_in(door, 1, 3), wait, sign_in(door, 0, 1)]].concat());
        }
    }
    for seconds in [59, 60, 3599, 3600, 86_399, 86_400, 2_591_999, 2_592_000] {
        let (wait, again) = (Step::Wait { seconds }, Step::AskAgain { project: 0, who: ADA });
        sequences.push(vec![sign_up(NOMA, ADA), again, wait, again, Step::Confirm { with: 1, times: 1 }]);
        sequences.push(vec![sign_up(NOMA, ADA), again, wait, Step::Confirm { with: 0, times: 1 }]);
        for wish in [Wish::Verify, Wish::Link, Wish::Reset] {
            sequences.push(vec![sign_up(NOMA, ADA), ask(wish, ADA), wait, Step::Follow { with: 0, times: 1 }]);
        }
        let right = Step::Type { with: 0, wrong: false, client: 0, who: ADA };
        sequences.push(vec![sign_up(NOMA, ADA), ask(Wish::Digits, ADA), wait, right]);
    }
    hold(&sequences);
}

/// Of many at the same instant one does it.
#[test]
fn what_works_once_works_once() {
    let (follow, confirm) = (Step::Follow { with: 0, times: 8 }, Step::Confirm { with: 0, times: 8 });
    let mut sequences = vec![
        vec![Step::SignUp { door: NOMA, who: ADA, word: 0, times: 8 }],
        vec![sign_up(NOMA, ADA), Step::Refresh { with: 0, times: 8 }, Step::Refresh { with: 0, times: 8 }],
        vec![sign_up(NHOST, ADA), Step::Refresh { with: 0, times: 8 }, Step::Refresh { with: 0, times: 8 }],
        vec![sign_up(NOMA, ADA), Step::AskAgain { project: 0, who: ADA }, confirm],
        vec![sign_up(NOMA, ADA), ask(Wish::Reset, ADA), Step::ResetBy { with: 0, word: 1, times: 8 }],
    ];
    for wish in [Wish::Verify, Wish::Link, Wish::Reset] {
        sequences.push(vec![sign_up(NOMA, ADA), ask(wish, ADA), follow]);
    }
    hold(&sequences);
}

/// Whoever made an account in another's name has nothing of it when the other comes (security, 8).
#[test]
fn what_was_there_before_the_proof_dies_with_it() {
    let begin = [
        sign_up(NOMA, ADA),
        sign_in(NORA, 0, 1),
        sign_in(NHOST, 0, 1),
        Step::MakePersonal { with: 0 },
        Step::MakeKey { with: 0 },
        ask(Wish::Verify, ADA),
    ];
    let (follow, right) =
        (Step::Follow { with: 0, times: 1 }, Step::Type { with: 0, wrong: false, client: 0, who: ADA });
    let ends = [
        vec![ask(Wish::Link, ADA), follow],
        vec![ask(Wish::Reset, ADA), follow],
        vec![ask(Wish::Reset, ADA), Step::ResetBy { with: 0, word: 1, times: 1 }],
        vec![ask(Wish::Digits, ADA), right],
        // Who was asked to prove it is who made it.
        vec![follow],
    ];
    hold(&ends.map(|end| [&begin[..], &end, &[sign_in(NORA, 0, 1)]].concat()));
}

/// Rules of counting that take many steps to see.
#[test]
fn guesses_are_counted_wherever_they_are_made() {
    let elsewhere = |door: Door| Door { client: 1, ..door };
    let wrong = |client| Step::Type { with: 0, wrong: true, client, who: ADA };
    let change = Step::ChangePassword { with: 0, client: 0, current: 1, new: 2 };
    hold(&[
        // A wrong current password is a guess.
        vec![sign_up(NOMA, ADA), sign_in(NORA, 1, 2), change, sign_in(NHOST, 0, 1)],
        vec![sign_up(NOMA, ADA), sign_in(NORA, 0, 1), change, change, change, sign_in(NHOST, 0, 1)],
        // So are wrong digits.
        vec![sign_up(NOMA, ADA), ask(Wish::Digits, ADA), wrong(0), wrong(0), sign_in(NORA, 1, 1), sign_in(NOMA, 0, 1)],
        // A success forgets the failures of its own client.
        vec![
            sign_up(NOMA, ADA),
            sign_in(NORA, 1, 2),
            sign_in(elsewhere(NOMA), 0, 1),
            sign_in(NORA, 1, 1),
            sign_in(NORA, 0, 1),
        ],
        vec![sign_up(NOMA, ADA), sign_in(NORA, 1, 3), sign_in(elsewhere(NOMA), 0, 1), sign_in(NORA, 0, 1)],
        // Another mail does not bring guesses back.
        vec![
            sign_up(NOMA, ADA),
            ask(Wish::Digits, ADA),
            wrong(0),
            wrong(0),
            wrong(1),
            wrong(1),
            wrong(0),
            ask(Wish::Digits, ADA),
            wrong(2),
            Step::Wait { seconds: 3599 },
            wrong(2),
            Step::Wait { seconds: 1 },
            Step::Type { with: 0, wrong: false, client: 0, who: ADA },
        ],
    ]);
}

/// What an operator switches off and on again, and an address that two want.
#[test]
fn what_is_given_back_and_what_is_not() {
    let key = [sign_up(NOMA, ADA), Step::MakeKey { with: 0 }, order(Order::Disable)];
    let moving = [sign_up(NHOST, ADA), Step::AskForAddress { with: 0, who: BOB }];
    let follow = Step::Follow { with: 0, times: 1 };
    hold(&[
        key.to_vec(),
        [&key[..], &[order(Order::Enable)]].concat(),
        [&key[..], &[order(Order::Delete), sign_up(NOMA, ADA)]].concat(),
        [&moving[..], &[follow, sign_up(NORA, ADA)]].concat(),
        [&moving[..], &[sign_up(NOMA, BOB), follow]].concat(),
    ]);
}

/// Mails go to the address as it was typed, which Nora has in lower case.
#[test]
fn a_mail_goes_to_the_address_as_it_was_typed() {
    let follow = Step::Follow { with: 0, times: 1 };
    let mut sequences = Vec::new();
    for door in [NOMA, NORA, NHOST] {
        for spelling in 0..4 {
            let who = Who { person: 1, spelling };
            sequences.push(vec![sign_up(door, who), ask(Wish::Link, Who { spelling: 3 - spelling, ..who }), follow]);
        }
    }
    hold(&sequences);
}
