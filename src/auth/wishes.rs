//! What a stranger wishes for the account that is made for them, and what of it the project grants.

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
            Some(Roles { default, allowed })
        }
    };
    // A language that is not there is passed over in silence (contract 0.2).
    let locale = wishes.locale.filter(|locale| nhost.locales.contains(locale));
    Ok(Granted { roles, display_name: wishes.display_name, locale, metadata: wishes.metadata })
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

/// Whether a character may stand in a display name: letters, digits and symbols of any script, and ` ,.'-`.
pub fn may_stand_in_a_name(c: char) -> bool {
    // Rust knows letters and digits; of symbols (Unicode's S) what is neither those nor punctuation, space or control.
    c.is_alphanumeric() || " ,.'-".contains(c) || is_symbol(c)
}

fn is_symbol(c: char) -> bool {
    "$+<=>^`|~".contains(c)
        || matches!(u32::from(c),
            0xa2..=0xa6 | 0xa8..=0xa9 | 0xac | 0xae..=0xb1 | 0xb4 | 0xb8 | 0xd7 | 0xf7
            | 0x2c2..=0x2c5 | 0x2d2..=0x2df | 0x20a0..=0x20c0 | 0x2100..=0x214f | 0x2190..=0x2307 | 0x230c..=0x2328
            | 0x232b..=0x23ff | 0x2400..=0x2426 | 0x2440..=0x244a | 0x249c..=0x24e9 | 0x2500..=0x2767 | 0x2794..=0x27c4
            | 0x2900..=0x2982 | 0x2b00..=0x2bff | 0x1f000..=0x1faff)
}
