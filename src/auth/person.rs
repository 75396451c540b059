//! An account as other services are shown it: with what the project's settings say where it says nothing itself.

use std::borrow::Cow;
use std::fmt::Write as _;

use md5::{Digest as _, Md5};

use super::{Ctx, Error, ProjectSettings, User, profile};

/// The role of accounts that were made without any credential, and their only one.
pub const ANONYMOUS: &str = "anonymous";
/// What an anonymous account is called unless it says how.
pub const ANONYMOUS_NAME: &str = "Anonymous User";

/// An account, seen with a project's settings.
#[derive(Debug)]
pub struct Person<'a> {
    /// The account.
    pub user: &'a User,
    settings: &'a ProjectSettings,
    picture: Option<String>,
}

impl<'a> Person<'a> {
    /// An account as it is shown to `ctx`.
    ///
    /// # Errors
    /// Only the store's: a picture lies in a row of its own.
    pub fn of(ctx: &'a Ctx, user: &'a User) -> Result<Self, Error> {
        Ok(Self { user, settings: &ctx.settings, picture: profile::avatar(ctx, user)? })
    }

    /// The same without its picture, for what does not show one.
    pub(crate) fn plain(settings: &'a ProjectSettings, user: &'a User) -> Self {
        Self { user, settings, picture: None }
    }

    /// The name it goes by: its own, else its address, else its number; one for all who have no credential.
    pub fn display_name(&self) -> &str {
        let user = self.user;
        if user.is_anonymous {
            return user.display_name.as_deref().unwrap_or(ANONYMOUS_NAME);
        }
        let number = || user.phone.as_ref().map(|phone| phone.number.as_str());
        user.display_name.as_deref().or(user.email.as_deref()).or_else(number).unwrap_or_default()
    }

    /// Its language where it is one of the project's, else the project's default.
    pub fn locale(&self) -> &str {
        let nhost = &self.settings.nhost;
        self.user.locale.as_deref().unwrap_or(&nhost.locale)
    }

    /// The role in force unless a request asks for another.
    pub fn default_role(&self) -> &str {
        match &self.user.roles {
            _ if self.user.is_anonymous => ANONYMOUS,
            Some(roles) => &roles.default,
            None => &self.settings.nhost.default_role,
        }
    }

    /// All its roles, the default one among them, each once.
    pub fn roles(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match &self.user.roles {
            _ if self.user.is_anonymous => Box::new(std::iter::once(ANONYMOUS)),
            Some(roles) => {
                let more = Some(roles.default.as_str()).filter(|role| !roles.allowed.iter().any(|one| one == role));
                Box::new(roles.allowed.iter().map(String::as_str).chain(more))
            }
            None => Box::new(self.settings.nhost.roles()),
        }
    }

    /// Where its picture is: its own, else that of its address at Gravatar; empty where there is none.
    pub fn avatar_url(&self) -> Cow<'_, str> {
        let gravatar = &self.settings.nhost.gravatar;
        match &self.picture {
            Some(picture) => picture.as_str().into(),
            None if gravatar.enabled && self.user.email.is_some() => {
                let address = self.user.lower_case_email();
                let mut url = String::with_capacity(96);
                url.push_str("https://www.gravatar.com/avatar/");
                for byte in Md5::digest(address.as_bytes()) {
                    let _ = write!(url, "{byte:02x}");
                }
                let _ = write!(url, "?d={}&r={}", gravatar.default, gravatar.rating);
                url.into()
            }
            None => "".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::data::users::Roles;
    use crate::env::Timestamp;

    #[test]
    fn what_an_account_does_not_say_the_project_does() {
        let settings = ProjectSettings::named("default");
        let mut user = User { email: Some("Ada@Example.com".into()), ..User::new(Uuid::nil(), Timestamp::default()) };
        let person = Person::plain(&settings, &user);
        assert_eq!((person.display_name(), person.locale(), person.default_role()), ("Ada@Example.com", "en", "user"));
        assert_eq!(person.roles().collect::<Vec<_>>(), ["me", "user"]);
        // echo -n ada@example.com | md5sum
        let url = "https://www.gravatar.com/avatar/3e3417d7ef77d5932a6734b916515ed5?d=blank&r=g";
        assert_eq!(person.avatar_url(), url);
        user.roles = Some(Roles { default: "editor".into(), allowed: vec!["me".into()] });
        user.display_name = Some("Ada".into());
        user.locale = Some("fr".into());
        let person = Person::plain(&settings, &user);
        assert_eq!((person.display_name(), person.locale(), person.default_role()), ("Ada", "fr", "editor"));
        assert_eq!(person.roles().collect::<Vec<_>>(), ["me", "editor"]);
        user.is_anonymous = true;
        let person = Person::plain(&settings, &user);
        assert_eq!((person.default_role(), person.roles().collect::<Vec<_>>()), ("anonymous", vec!["anonymous"]));
    }
}
