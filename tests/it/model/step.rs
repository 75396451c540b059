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

/// What a mail is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To prove an address.
    Verify,
    /// To sign in by a link.
    Link,
    /// To sign in by six digits.
    Digits,
    /// To set a password that was forgotten.
    Reset,
}

/// What an operator does to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Create {
        word: usize,
    },
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
    /// An account without any credential.
    Anonymous {
        project: usize,
        client: usize,
    },
    /// It gets one.
    Deanonymize {
        with: Pick,
        who: Who,
        word: usize,
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
    MakeKey {
        with: Pick,
    },
    RevokeKey {
        with: Pick,
    },
    MakePersonal {
        with: Pick,
    },
    SignInPersonal {
        with: Pick,
    },
    /// Asks for another secret that proves an address, in Noma's way.
    AskAgain {
        project: usize,
        who: Who,
    },
    Confirm {
        with: Pick,
        times: usize,
    },
    /// Asks for a mail, in Nhost's way.
    Ask {
        wish: Wish,
        project: usize,
        client: usize,
        who: Who,
    },
    AskForAddress {
        with: Pick,
        who: Who,
    },
    Follow {
        with: Pick,
        times: usize,
    },
    ResetBy {
        with: Pick,
        word: usize,
        times: usize,
    },
    /// Types six digits; not quite those that were sent, where `wrong`.
    Type {
        with: Pick,
        wrong: bool,
        client: usize,
        who: Who,
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
    /// Whether addresses must be proved.
    Reload {
        strict: bool,
    },
}

impl Step {
    /// How often it happens at the same instant.
    pub fn times(&self) -> usize {
        match self {
            Self::SignUp { times, .. }
            | Self::SignIn { times, .. }
            | Self::Refresh { times, .. }
            | Self::Confirm { times, .. }
            | Self::Follow { times, .. }
            | Self::ResetBy { times, .. } => *times,
            _ => 1,
        }
    }

    /// Whose address a mail is asked for, where the server bounds how many.
    pub fn mails(&self) -> Option<Who> {
        match self {
            Self::Ask { who, .. } | Self::AskForAddress { who, .. } | Self::Deanonymize { who, .. } => Some(*who),
            _ => None,
        }
    }
}

/// What a run is mostly about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// Begun, refreshed, ended.
    Sessions,
    /// Wrong secrets from many sides.
    Lockout,
    /// What mails and apps bring.
    Secrets,
    /// Six digits, right and wrong.
    Digits,
    /// Who has which address.
    Addresses,
    /// API keys and personal access tokens.
    Programs,
    /// All of it.
    Mixed,
}

/// Seconds that matter to a theme: lives, windows and graces of [`super::world`], to the second and one short of it.
fn spans(theme: Theme) -> &'static [u64] {
    match theme {
        Theme::Sessions => &[1, 9, 10, 899, 900, 604_799, 604_800, 2_591_999, 2_592_000],
        Theme::Lockout => &[1, 1, 60, 599, 600, 1199, 1200],
        Theme::Secrets | Theme::Addresses => &[1, 59, 60, 3599, 3600, 86_399, 86_400, 2_591_999, 2_592_000],
        Theme::Digits => &[1, 1, 1199, 1200, 3599, 3600],
        Theme::Programs => &[1, 10, 899, 900, 604_799, 604_800],
        Theme::Mixed => &[1, 9, 10, 60, 599, 600, 899, 900, 1199, 1200, 3599, 3600, 86_400, 604_800, 2_592_000],
    }
}

/// Sequences of steps.
pub fn steps(theme: Theme) -> impl Strategy<Value = Vec<Step>> {
    vec(step(theme), 1..48)
}

fn step(theme: Theme) -> impl Strategy<Value = Step> {
    // In the order of `kinds`; each theme makes much of its own, and does a little of the rest.
    let weights: [u32; 22] = match theme {
        Theme::Sessions => [6, 12, 2, 2, 14, 6, 3, 6, 2, 1, 2, 3, 0, 0, 1, 0, 1, 1, 0, 5, 10, 0],
        Theme::Lockout => [6, 30, 0, 0, 1, 1, 0, 14, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 6, 4, 8, 0],
        Theme::Secrets => [6, 6, 1, 2, 2, 1, 1, 2, 2, 0, 1, 2, 6, 8, 16, 2, 12, 5, 2, 4, 8, 4],
        Theme::Digits => [4, 3, 0, 0, 1, 0, 0, 1, 1, 0, 1, 1, 0, 0, 14, 1, 2, 1, 24, 3, 8, 1],
        Theme::Addresses => [10, 6, 2, 4, 2, 1, 0, 2, 1, 0, 1, 1, 4, 4, 6, 12, 14, 2, 1, 6, 5, 3],
        Theme::Programs => [8, 8, 0, 0, 3, 2, 2, 3, 14, 4, 8, 8, 0, 0, 6, 0, 6, 3, 0, 10, 5, 2],
        Theme::Mixed => [6, 8, 2, 2, 5, 3, 2, 4, 3, 2, 3, 3, 3, 3, 6, 3, 5, 3, 3, 6, 6, 2],
    };
    let chosen = weights.into_iter().zip(kinds(theme)).filter(|(weight, _)| *weight > 0);
    Union::new_weighted(chosen.collect())
}

fn kinds(theme: Theme) -> [BoxedStrategy<Step>; 22] {
    let times = || prop_oneof![5 => Just(1_usize), 1 => 2..5_usize];
    let word = move || match theme {
        Theme::Lockout => prop_oneof![2 => Just(0_usize), 3 => 1..WORDS.len()],
        _ => prop_oneof![6 => Just(0_usize), 1 => 1..WORDS.len()],
    };
    // Where much must come together on one account, others are seldom.
    let person = move || match theme {
        Theme::Addresses => prop_oneof![2 => Just(0_usize), 3 => 1..PERSONS.len()],
        Theme::Sessions | Theme::Secrets | Theme::Mixed => prop_oneof![4 => Just(0_usize), 1 => 1..PERSONS.len()],
        Theme::Lockout | Theme::Digits | Theme::Programs => prop_oneof![12 => Just(0_usize), 1 => 1..PERSONS.len()],
    };
    let who = move || {
        let spelling = prop_oneof![3 => Just(0_usize), 2 => 1..4_usize];
        (person(), spelling).prop_map(|(person, spelling)| Who { person, spelling })
    };
    let client = move || match theme {
        Theme::Lockout | Theme::Digits => prop_oneof![2 => Just(0_usize), 2 => 1..CLIENTS],
        _ => prop_oneof![6 => Just(0_usize), 1 => 1..CLIENTS],
    };
    let door = move || {
        let dialect = select(Dialect::ALL.as_slice());
        (dialect, project(), client()).prop_map(|(dialect, project, client)| Door { dialect, project, client })
    };
    let wish = move || match theme {
        Theme::Digits => prop_oneof![8 => Just(Wish::Digits), 1 => wish()].boxed(),
        _ => wish().boxed(),
    };
    let flag = || any::<bool>();
    [
        (door(), who(), word(), times())
            .prop_map(|(door, who, word, times)| Step::SignUp { door, who, word, times })
            .boxed(),
        (door(), who(), word(), times())
            .prop_map(|(door, who, word, times)| Step::SignIn { door, who, word, times })
            .boxed(),
        (project(), client()).prop_map(|(project, client)| Step::Anonymous { project, client }).boxed(),
        (pick(), who(), word()).prop_map(|(with, who, word)| Step::Deanonymize { with, who, word }).boxed(),
        (pick(), times()).prop_map(|(with, times)| Step::Refresh { with, times }).boxed(),
        pick().prop_map(|with| Step::LogOut { with }).boxed(),
        pick().prop_map(|with| Step::LogOutEverywhere { with }).boxed(),
        (pick(), client(), word(), word())
            .prop_map(|(with, client, current, new)| Step::ChangePassword { with, client, current, new })
            .boxed(),
        pick().prop_map(|with| Step::MakeKey { with }).boxed(),
        pick().prop_map(|with| Step::RevokeKey { with }).boxed(),
        pick().prop_map(|with| Step::MakePersonal { with }).boxed(),
        pick().prop_map(|with| Step::SignInPersonal { with }).boxed(),
        (project(), who()).prop_map(|(project, who)| Step::AskAgain { project, who }).boxed(),
        (pick(), times()).prop_map(|(with, times)| Step::Confirm { with, times }).boxed(),
        (wish(), project(), client(), who())
            .prop_map(|(wish, project, client, who)| Step::Ask { wish, project, client, who })
            .boxed(),
        (pick(), who()).prop_map(|(with, who)| Step::AskForAddress { with, who }).boxed(),
        (pick(), times()).prop_map(|(with, times)| Step::Follow { with, times }).boxed(),
        (pick(), word(), times()).prop_map(|(with, word, times)| Step::ResetBy { with, word, times }).boxed(),
        (pick(), flag(), client(), who())
            .prop_map(|(with, wrong, client, who)| Step::Type { with, wrong, client, who })
            .boxed(),
        (order(), project(), person())
            .prop_map(|(order, project, person)| Step::Operator { order, project, person })
            .boxed(),
        select(spans(theme)).prop_map(|seconds| Step::Wait { seconds }).boxed(),
        flag().prop_map(|strict| Step::Reload { strict }).boxed(),
    ]
}

fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![6 => 0..2_usize, 2 => 0..6_usize, 1 => 0..30_usize]
}

fn project() -> impl Strategy<Value = usize> {
    prop_oneof![8 => Just(0_usize), 1 => Just(1_usize)]
}

fn wish() -> impl Strategy<Value = Wish> {
    select([Wish::Verify, Wish::Link, Wish::Digits, Wish::Reset].as_slice())
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![
        2 => Just(Order::Disable),
        2 => Just(Order::Enable),
        2 => Just(Order::Delete),
        2 => Just(Order::Unlock),
        1 => Just(Order::EndSessions),
        1 => (0..WORDS.len()).prop_map(|word| Order::Create { word }),
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
            Self::Anonymous { project, client } => {
                write!(f, "sign in without any credential in {} from client {client}", PROJECTS[*project])?;
            }
            Self::Deanonymize { who, word, .. } => write!(f, "become {who}, {:?}", WORDS[*word])?,
            Self::Refresh { .. } => write!(f, "refresh")?,
            Self::LogOut { .. } => write!(f, "log out")?,
            Self::LogOutEverywhere { .. } => write!(f, "log out everywhere")?,
            Self::ChangePassword { client, current, new, .. } => {
                let (current, new) = (WORDS[*current], WORDS[*new]);
                write!(f, "change the password {current:?} to {new:?} from client {client}")?;
            }
            Self::MakeKey { .. } => write!(f, "make an API key")?,
            Self::RevokeKey { .. } => write!(f, "revoke an API key")?,
            Self::MakePersonal { .. } => write!(f, "make a personal access token")?,
            Self::SignInPersonal { .. } => write!(f, "sign in by a personal access token")?,
            Self::AskAgain { project, who } => write!(f, "ask for a verification of {who} in {}", PROJECTS[*project])?,
            Self::Confirm { .. } => write!(f, "confirm the address")?,
            Self::Ask { wish, project, client, who } => {
                write!(f, "ask for a mail ({wish:?}) to {who} in {} from client {client}", PROJECTS[*project])?;
            }
            Self::AskForAddress { who, .. } => write!(f, "ask for the address {who}")?,
            Self::Follow { .. } => write!(f, "follow the link")?,
            Self::ResetBy { word, .. } => write!(f, "set the password {:?} by a ticket", WORDS[*word])?,
            Self::Type { wrong, client, who, .. } => {
                let which = if *wrong { "digits that are not quite" } else { "the digits" };
                write!(f, "type as {who} from client {client} {which}")?;
            }
            Self::Operator { order, project, person } => {
                write!(f, "the operator of {} does {order:?} to {}", PROJECTS[*project], PERSONS[*person])?;
            }
            Self::Wait { seconds } => write!(f, "wait {seconds} s")?,
            Self::Reload { strict: true } => write!(f, "from now on addresses must be proved")?,
            Self::Reload { strict: false } => write!(f, "from now on addresses need not be proved")?,
        }
        match self.times() {
            1 => Ok(()),
            times => write!(f, ", {times} times at once"),
        }
    }
}
