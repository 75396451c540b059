//! What may happen, as values that are drawn by chance, made smaller where they fail, and read by people.

use std::fmt;

use keystead::dialect::Dialect;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

/// Whose addresses there are. One of them has more than one Unicode form.
pub const PERSONS: [&str; 3] = ["ada", "jos\u{e9}", "bob"];
/// What their passwords may be.
pub const WORDS: [&str; 3] = ["correct horse", "battery staple", "wrong horse"];
/// How many machines requests come from.
pub const CLIENTS: usize = 3;
/// The projects of the server.
pub const PROJECTS: [&str; 2] = ["default", "shop"];

/// Where a request goes in, and from where it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Door {
    pub dialect: Dialect,
    /// One of [`PROJECTS`].
    pub project: usize,
    /// One of so many [`CLIENTS`].
    pub client: usize,
}

/// An address, as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who {
    /// One of [`PERSONS`].
    pub person: usize,
    /// How: see [`Who::typed`].
    pub spelling: usize,
}

impl Who {
    /// The address with what is typed around it.
    pub fn typed(&self, domain: &str) -> String {
        let name = PERSONS[self.person];
        match self.spelling {
            0 => format!("{name}@{domain}"),
            1 => format!("{name}@{domain}").to_uppercase(),
            2 => format!(" {name}@{domain}\t"),
            // Decomposed, and in full width.
            _ => {
                let other = name.replace('\u{e9}', "e\u{301}").replace('a', "\u{ff41}").replace('b', "\u{ff42}");
                format!("{other}@{domain}")
            }
        }
    }
}

/// Which of the credentials that fit: 0 is the newest, 1 the one before it. Earlier steps may go without another meaning
/// of later ones.
pub type Pick = usize;

/// What an operator does to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Disable,
    Enable,
    Delete,
    Unlock,
    SetPassword {
        word: usize,
    },
    EndSessions,
    /// Gives it the role `admin`, or takes that.
    Promote {
        admin: bool,
    },
}

/// Something that happens. `times`: so often at the same instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    SignUp {
        door: Door,
        who: Who,
        word: usize,
        times: usize,
    },
    SignIn {
        door: Door,
        who: Who,
        word: usize,
        times: usize,
    },
    Refresh {
        with: Pick,
        times: usize,
    },
    /// With what the dialect wants for it.
    LogOut {
        with: Pick,
    },
    LogOutEverywhere {
        with: Pick,
    },
    ChangePassword {
        with: Pick,
        client: usize,
        current: usize,
        new: usize,
    },
    Operator {
        order: Order,
        project: usize,
        person: usize,
    },
    /// So many seconds pass.
    Wait {
        seconds: u64,
    },
}

impl Step {
    /// How often it happens at the same instant.
    pub fn times(&self) -> usize {
        match self {
            Self::SignUp { times, .. } | Self::SignIn { times, .. } | Self::Refresh { times, .. } => *times,
            _ => 1,
        }
    }
}

/// What a run is mostly about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    Sessions,
    Lockout,
}

/// Seconds that matter: each life, window and grace of [`super::world`], to the second and one short of it.
const SPANS: [u64; 19] = [
    1, 9, 10, 59, 60, 599, 600, 899, 900, 1199, 1200, 3599, 3600, 86_399, 86_400, 604_799, 604_800, 2_591_999,
    2_592_000,
];

/// Sequences of steps.
pub fn steps(theme: Theme) -> impl Strategy<Value = Vec<Step>> {
    vec(step(theme), 1..36)
}

fn step(theme: Theme) -> impl Strategy<Value = Step> {
    // In the order of `kinds`; each theme makes much of its own, and does a little of the rest.
    let weights: [u32; 8] = match theme {
        Theme::Sessions => [6, 12, 14, 6, 3, 6, 5, 10],
        Theme::Lockout => [4, 30, 1, 1, 0, 10, 6, 12],
    };
    let chosen = weights.into_iter().zip(kinds(theme)).filter(|(weight, _)| *weight > 0);
    Union::new_weighted(chosen.collect())
}

fn kinds(theme: Theme) -> [BoxedStrategy<Step>; 8] {
    let times = || prop_oneof![5 => Just(1_usize), 1 => 2..5_usize];
    let word = move || match theme {
        Theme::Lockout => prop_oneof![2 => Just(0_usize), 3 => 1..WORDS.len()],
        Theme::Sessions => prop_oneof![6 => Just(0_usize), 1 => 1..WORDS.len()],
    };
    [
        (door(), who(), word(), times())
            .prop_map(|(door, who, word, times)| Step::SignUp { door, who, word, times })
            .boxed(),
        (door(), who(), word(), times())
            .prop_map(|(door, who, word, times)| Step::SignIn { door, who, word, times })
            .boxed(),
        (pick(), times()).prop_map(|(with, times)| Step::Refresh { with, times }).boxed(),
        pick().prop_map(|with| Step::LogOut { with }).boxed(),
        pick().prop_map(|with| Step::LogOutEverywhere { with }).boxed(),
        (pick(), client(), word(), word())
            .prop_map(|(with, client, current, new)| Step::ChangePassword { with, client, current, new })
            .boxed(),
        (order(), project(), person())
            .prop_map(|(order, project, person)| Step::Operator { order, project, person })
            .boxed(),
        select(SPANS.as_slice()).prop_map(|seconds| Step::Wait { seconds }).boxed(),
    ]
}

fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![6 => 0..2_usize, 2 => 0..6_usize, 1 => 0..30_usize]
}

fn project() -> impl Strategy<Value = usize> {
    prop_oneof![6 => Just(0_usize), 1 => Just(1_usize)]
}

fn client() -> impl Strategy<Value = usize> {
    prop_oneof![4 => Just(0_usize), 1 => 1..CLIENTS]
}

fn person() -> impl Strategy<Value = usize> {
    prop_oneof![4 => Just(0_usize), 1 => 1..PERSONS.len()]
}

fn door() -> impl Strategy<Value = Door> {
    let dialect = select(Dialect::ALL.as_slice());
    (dialect, project(), client()).prop_map(|(dialect, project, client)| Door { dialect, project, client })
}

fn who() -> impl Strategy<Value = Who> {
    let spelling = prop_oneof![3 => Just(0_usize), 2 => 1..4_usize];
    (person(), spelling).prop_map(|(person, spelling)| Who { person, spelling })
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![
        2 => Just(Order::Disable),
        2 => Just(Order::Enable),
        2 => Just(Order::Delete),
        2 => Just(Order::Unlock),
        1 => Just(Order::EndSessions),
        1 => (0..WORDS.len()).prop_map(|word| Order::SetPassword { word }),
        1 => any::<bool>().prop_map(|admin| Order::Promote { admin }),
    ]
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.typed("example.com"))
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dialect, project, client } = self;
        write!(f, "at {} of {} from client {client}", dialect.name(), PROJECTS[*project])
    }
}

/// As a person is told it; what it is done with stands beside it.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SignUp { door, who, word, .. } => write!(f, "sign up {who}, {:?}, {door}", WORDS[*word])?,
            Self::SignIn { door, who, word, .. } => write!(f, "sign in {who}, {:?}, {door}", WORDS[*word])?,
            Self::Refresh { .. } => write!(f, "refresh")?,
            Self::LogOut { .. } => write!(f, "log out")?,
            Self::LogOutEverywhere { .. } => write!(f, "log out everywhere")?,
            Self::ChangePassword { client, current, new, .. } => {
                let (current, new) = (WORDS[*current], WORDS[*new]);
                write!(f, "change the password {current:?} to {new:?} from client {client}")?;
            }
            Self::Operator { order, project, person } => {
                write!(f, "the operator of {} does {order:?} to {}", PROJECTS[*project], PERSONS[*person])?;
            }
            Self::Wait { seconds } => write!(f, "wait {seconds} s")?,
        }
        match self.times() {
            1 => Ok(()),
            times => write!(f, ", {times} times at once"),
        }
    }
}
