//! Refresh tokens that must be UUIDs: a session's handle, encrypted.
//!
//! A UUID has 122 free bits: too few for a name of the session, a secret and a proof that the token is ours, side by side.
//! So the whole of it is one encrypted block: `moment 48 | chance 26 | generation 20 | zero 28`. Moment and chance name the
//! session: its id is made of them, see [`RefreshUuidKey::new_session`]. Under a key of the project the block is permuted
//! among all 2^122, so that to whoever has not the key a token looks like 122 random bits, and one made up passes for one
//! of a living session with a chance of one in 2^122 for each that lives. A token that decrypts to another zero was never
//! ours, and does not reach the store.
//!
//! What is gained: a session is found by its key without an index of tokens, whose rows would lie all over the file and
//! be written at every refresh; and an old token is known for one however old it is, so that its reuse can end the session.
//! What it rests on: the project's secret, which its file keeps sealed. Whoever has that could make tokens, as whoever has
//! the signing keys can; the store keeps a digest beside, so that a row says which generation is in force.

use aws_lc_rs::hmac;
use uuid::{Builder, Uuid};

use super::derived;
use crate::crypto::{Digest, Secret};
use crate::env::{Env, Timestamp};

/// Makes and recognises the refresh tokens of one project that are UUIDs.
pub struct RefreshUuidKey {
    rounds: hmac::Key,
    ids: hmac::Key,
}

/// Such a token: freshly made, or recognised.
#[derive(Clone)]
pub struct RefreshUuid {
    session: Uuid,
    generation: u32,
    text: Secret<[u8; 16]>,
}

/// Bits of each half of the block.
const HALF: u32 = 61;
const MASK: u64 = (1 << HALF) - 1;
/// A Feistel network with a pseudorandom function in each round is a strong pseudorandom permutation after four; FF1
/// (NIST SP 800-38G) takes ten.
const ROUNDS: u8 = 10;
const CHANCE: u32 = 26;
const GENERATION: u32 = 20;
const ZERO: u32 = 28;

impl RefreshUuidKey {
    /// The last generation of a session: the one after it would look like the first. At a refresh a second, twelve days.
    pub const LAST: u32 = (1 << GENERATION) - 1;

    /// From the project's 32 secret bytes, which the store keeps sealed.
    pub fn new(secret: &Secret<[u8; 32]>, project: Uuid) -> Self {
        let derive = |name| hmac::Key::new(hmac::HMAC_SHA256, derived(secret, name, project).as_ref());
        Self { rounds: derive("keystead/refresh-uuid/1"), ids: derive("keystead/refresh-uuid-session/1") }
    }

    /// An id for a new session: a UUIDv7 that is a function of the moment and of 26 random bits. Two of one millisecond
    /// are the same with a chance of one in 67 million, so whoever writes the session sees to it that there is none yet.
    pub fn new_session(&self, env: &Env, now: Timestamp) -> Uuid {
        let chance = u32::from_be_bytes(env.random()) >> (32 - CHANCE);
        self.session(now.millis() & ((1 << 48) - 1), chance)
    }

    /// The token of a session at a generation, which is at most [`Self::LAST`]; `None` for a session whose id is not
    /// ours, which has no such tokens.
    pub fn token(&self, session: Uuid, generation: u32) -> Option<RefreshUuid> {
        if generation > Self::LAST {
            return None;
        }
        let (moment, chance) = handle(session);
        if self.session(moment, chance) != session {
            return None;
        }
        let block = (u128::from(moment) << (CHANCE + GENERATION + ZERO))
            | (u128::from(chance) << (GENERATION + ZERO))
            | (u128::from(generation) << ZERO);
        let text = Secret::new(to_uuid(self.permute(block)).into_bytes());
        Some(RefreshUuid { session, generation, text })
    }

    /// Recognises a token of this project; `None` for any other.
    pub fn parse(&self, token: Uuid) -> Option<RefreshUuid> {
        let block = self.restore(from_uuid(token)?);
        if block & ((1 << ZERO) - 1) != 0 {
            return None;
        }
        let generation = (block >> ZERO) as u32 & Self::LAST;
        let chance = (block >> (GENERATION + ZERO)) as u32 & ((1 << CHANCE) - 1);
        let moment = (block >> (CHANCE + GENERATION + ZERO)) as u64;
        let session = self.session(moment, chance);
        Some(RefreshUuid { session, generation, text: Secret::new(token.into_bytes()) })
    }

    /// The id made of a moment and a chance: in a UUIDv7's layout, `moment 48 | 7 | chance 12 | 2 | chance 14 | tag 48`.
    fn session(&self, moment: u64, chance: u32) -> Uuid {
        let mut context = hmac::Context::with_key(&self.ids);
        context.update(&moment.to_be_bytes());
        context.update(&chance.to_be_bytes());
        let tag = context.sign();
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&moment.to_be_bytes()[2..]);
        bytes[6..8].copy_from_slice(&((chance >> 14) as u16).to_be_bytes());
        bytes[8..10].copy_from_slice(&((chance & 0x3fff) as u16).to_be_bytes());
        bytes[10..].copy_from_slice(&tag.as_ref()[..6]);
        Builder::from_bytes(bytes)
            .with_version(uuid::Version::SortRand)
            .with_variant(uuid::Variant::RFC4122)
            .into_uuid()
    }

    fn permute(&self, block: u128) -> u128 {
        let (mut left, mut right) = halves(block);
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ self.round(round, right));
        }
        whole(left, right)
    }

    fn restore(&self, block: u128) -> u128 {
        let (mut left, mut right) = halves(block);
        for round in (0..ROUNDS).rev() {
            (left, right) = (right ^ self.round(round, left), left);
        }
        whole(left, right)
    }

    fn round(&self, round: u8, half: u64) -> u64 {
        let mut input = [0; 9];
        input[0] = round;
        input[1..].copy_from_slice(&half.to_be_bytes());
        let tag = hmac::sign(&self.rounds, &input);
        let first = tag.as_ref().first_chunk().expect("HMAC-SHA256 yields 32 bytes");
        u64::from_be_bytes(*first) & MASK
    }
}

impl RefreshUuid {
    /// The session it belongs to.
    pub fn session(&self) -> Uuid {
        self.session
    }

    /// How many tokens of the session came before it.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// What the client is given: a UUID (version 4, lower case).
    pub fn text(&self) -> String {
        Uuid::from_bytes(*self.text.expose()).to_string()
    }

    /// What the store keeps.
    pub fn digest(&self) -> Digest {
        refresh_uuid_digest(Uuid::from_bytes(*self.text.expose()))
    }
}

/// What the store keeps of a refresh token that is a UUID: the SHA-256 of its text in lower case, as Nhost Auth keeps it,
/// so that tokens brought from there are known by what was kept of them. Two of 122 bits that nobody chose need no
/// separation from other digests.
pub fn refresh_uuid_digest(token: Uuid) -> Digest {
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    let text = token.hyphenated().encode_lower(&mut text);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    Digest::from_bytes(digest.as_ref().try_into().expect("SHA-256 yields 32 bytes"))
}

/// The moment and the chance that an id's layout holds.
fn handle(session: Uuid) -> (u64, u32) {
    let bits = session.as_u128();
    let chance = ((bits >> 64) as u32 & 0xfff) << 14 | (bits >> 48) as u32 & 0x3fff;
    ((bits >> 80) as u64, chance)
}

fn halves(block: u128) -> (u64, u64) {
    ((block >> HALF) as u64 & MASK, block as u64 & MASK)
}

fn whole(left: u64, right: u64) -> u128 {
    u128::from(left) << HALF | u128::from(right)
}

/// 122 bits in the free places of a UUIDv4 (RFC 9562, section 5.4).
fn to_uuid(block: u128) -> Uuid {
    let (a, b, c) = (block >> 74, (block >> 62) & 0xfff, block & ((1 << 62) - 1));
    Uuid::from_u128(a << 80 | 4 << 76 | b << 64 | 2 << 62 | c)
}

/// The 122 bits of a UUIDv4; `None` for a UUID of another kind.
fn from_uuid(uuid: Uuid) -> Option<u128> {
    let bits = uuid.as_u128();
    let block = (bits >> 80) << 74 | ((bits >> 64) & 0xfff) << 62 | bits & ((1 << 62) - 1);
    (to_uuid(block) == uuid).then_some(block)
}

impl std::fmt::Debug for RefreshUuidKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[refresh UUID key]")
    }
}

impl std::fmt::Debug for RefreshUuid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[refresh UUID {} of session {}]", self.generation, self.session)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn key(secret: u8, project: u128) -> RefreshUuidKey {
        RefreshUuidKey::new(&Secret::new([secret; 32]), Uuid::from_u128(project))
    }

    #[test]
    fn a_token_names_its_session_to_its_project_only() {
        let ours = key(1, 1);
        let session = ours.new_session(&Env::system(), NOW);
        assert_eq!(session.get_version_num(), 7);
        for generation in [0, 1, 77, RefreshUuidKey::LAST] {
            let token = ours.token(session, generation).unwrap();
            let uuid: Uuid = token.text().parse().unwrap();
            assert_eq!((uuid.get_version_num(), uuid.get_variant()), (4, uuid::Variant::RFC4122));
            let read = ours.parse(uuid).unwrap();
            assert_eq!((read.session(), read.generation(), read.digest()), (session, generation, token.digest()));
            assert!(key(1, 2).parse(uuid).is_none(), "another project, same secret");
            assert!(key(2, 1).parse(uuid).is_none(), "another secret");
            assert!(!format!("{token:?} {ours:?}").contains(&token.text()[..8]));
        }
        assert!(ours.token(session, RefreshUuidKey::LAST + 1).is_none(), "no generation comes twice");
        assert!(ours.token(Uuid::from_u128(session.as_u128() ^ 1), 0).is_none(), "not a session of these tokens");
        assert_ne!(ours.new_session(&Env::system(), NOW), session);
    }

    #[test]
    fn no_changed_bit_passes() {
        let ours = key(1, 1);
        let token: Uuid = ours.token(ours.new_session(&Env::system(), NOW), 3).unwrap().text().parse().unwrap();
        for bit in 0..128 {
            assert!(ours.parse(Uuid::from_u128(token.as_u128() ^ (1 << bit))).is_none(), "bit {bit}");
        }
    }

    /// As PostgreSQL has it: `encode(sha256('…'), 'hex')`.
    #[test]
    fn the_digest_is_that_of_the_text() {
        let digest = refresh_uuid_digest(Uuid::from_u128(0));
        let hex: String = digest.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "12b9377cbe7e5c94e8a70d9d23929523d14afa954793130f8a3959c7b849aca8");
    }

    proptest! {
        #[test]
        fn the_permutation_is_undone(block in 0..1_u128 << 122, session in any::<u128>()) {
            let key = key(7, 7);
            let permuted = key.permute(block);
            prop_assert!(permuted < 1 << 122);
            prop_assert_eq!(key.restore(permuted), block);
            prop_assert_eq!(from_uuid(to_uuid(block)), Some(block));
            let _ = key.parse(Uuid::from_u128(session));
            let _ = key.token(Uuid::from_u128(session), 0);
        }

        #[test]
        fn ids_of_sessions_go_by_their_moment(earlier in 0..1_u64 << 47, later in 1..1000_u64, chance in 0..1_u32 << 26) {
            let key = key(1, 1);
            let id = key.session(earlier, chance);
            prop_assert_eq!(handle(id), (earlier, chance));
            prop_assert!(id < key.session(earlier + later, 0));
        }
    }
}
