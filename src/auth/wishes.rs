//! What a stranger wishes for the account that is made for them, and what of it the project grants.

use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, GeneralCategoryGroup};

use super::{Ctx, Error};
use crate::data::users::{Roles, User};

/// Wishes for a new account; what is left out is the project's to choose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// The roles it may use.
    pub allowed_roles: Option<Vec<String>>,
    /// The one of them in force unless a request asks for another.
    pub default_role: Option<String>,
    /// The name to go by.
    pub display_name: Option<String>,
    /// The language.
    pub locale: Option<String>,
    /// A JSON object of the app's own, as text.
    pub metadata: Option<String>,
    /// Where to go once the address is proved.
    pub redirect_to: Option<String>,
}

/// What of it is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    roles: Option<Roles>,
    display_name: Option<String>,
    locale: Option<String>,
    metadata: Option<String>,
}

/// Looks at wishes, in the order that decides which refusal is told.
///
/// # Errors
/// `RoleNotAllowed`, `DefaultRoleNotAllowed`.
pub(crate) fn grant(ctx: &Ctx, wishes: Wishes) -> Result<Granted, Error> {
    let nhost = &ctx.settings.nhost;
    let roles = match (wishes.allowed_roles, wishes.default_role) {
        (None, None) => None,
        (allowed, default) => {
            let default = default.unwrap_or_else(|| nhost.default_role.clone());
            let allowed = allowed.unwrap_or_else(|| nhost.roles().map(str::to_owned).collect());
            if !allowed.iter().all(|role| nhost.roles().any(|one| one == role)) {
                return Err(Error::RoleNotAllowed);
            }
            if !allowed.contains(&default) {
                return Err(Error::DefaultRoleNotAllowed);
            }
            Some(Roles { default, allowed: each_once(allowed) })
        }
    };
    // A language that is not there is passed over in silence (contract 0.2).
    let locale = wishes.locale.filter(|locale| nhost.locales.contains(locale));
    Ok(Granted { roles, display_name: wishes.display_name, locale, metadata: wishes.metadata })
}

/// Every role once, in the order in which they came: a list that repeats one would grow into every token.
fn each_once(roles: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    roles.into_iter().filter(|role| seen.insert(role.clone())).collect()
}

impl Granted {
    /// Puts it into a new account.
    pub(crate) fn put_into(self, user: User) -> User {
        User {
            roles: self.roles.or(user.roles),
            display_name: self.display_name.or(user.display_name),
            locale: self.locale.or(user.locale),
            metadata: self.metadata.or(user.metadata),
            ..user
        }
    }
}

/// Whether a character may stand in a display name: letters, numbers and symbols of any script, and ` ,.'-`.
pub fn may_stand_in_a_name(c: char) -> bool {
    const NAMES: GeneralCategoryGroup =
        GeneralCategoryGroup::Letter.union(GeneralCategoryGroup::Number).union(GeneralCategoryGroup::Symbol);
    " ,.'-".contains(c) || NAMES.contains(CodePointMapData::<GeneralCategory>::new().get(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_granted_once() {
        assert_eq!(each_once(["b", "a", "b", "a"].map(str::to_owned).into()), ["b", "a"]);
    }

    /// As `^[\p{L}\p{N}\p{S} ,.'-]+$` has it (contract 0.1).
    #[test]
    fn what_may_stand_in_a_name() {
        for c in
            "aZ\u{e9}\u{df}\u{3b1}\u{4e2d}\u{627}7\u{663}\u{bd}\u{2163}$+<=>^`|~\u{20ac}\u{2122}\u{1f600}\u{fdfd} ,.'-"
                .chars()
        {
            assert!(may_stand_in_a_name(c), "{c:?}");
        }
        for c in "@#/\\!?&*()[]{}_\"%:;\u{a1}\u{a7}\u{2019}\u{2014}\t\n\0\u{7f}\u{a0}\u{2028}\u{301}\u{200b}\u{202e}\u{feff}\u{e000}".chars() {
            assert!(!may_stand_in_a_name(c), "{c:?}");
        }
    }
}
