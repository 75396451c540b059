//! Access tokens that other services check, too: what a project signs them with, and what they say.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::person::Person;
use super::{Ctx, Error, ProjectSettings, User};
use crate::crypto::Secret;
use crate::env::Timestamp;
use crate::token::{HasuraClaims, Holder, JwtClaims, JwtProof, JwtRing, KeyKind, KeyRecord, NotMinted, Rejected};

/// What a project signs such tokens with, and what it says in them: as its settings and its keys are now. Neither
/// changes; with other settings or keys there is another one.
#[derive(Debug)]
pub struct AccessJwts {
    ring: JwtRing,
    claims: HasuraClaims,
}

/// When a client may try again that came before the project had a key.
const NO_KEY_YET: Duration = Duration::from_secs(5);

impl AccessJwts {
    /// Of a project with these settings and keys. Where the settings give a key, that alone counts.
    pub(super) fn new(settings: &ProjectSettings, records: &[KeyRecord]) -> Result<Self, Error> {
        let (nhost, jwt) = (&settings.nhost, &settings.nhost.jwt);
        let issuer = jwt.issuer.clone().unwrap_or_else(|| {
            // As its clients know the API: the URL with its path.
            format!("{}{}", settings.public_url.as_deref().unwrap_or_default(), nhost.path)
        });
        let ring = match (&jwt.key, jwt.algorithm.own_keys()) {
            (Some(key), _) => JwtRing::given(jwt.algorithm, key.expose(), jwt.kid.as_deref(), &issuer)
                .map_err(|error| Error::Internal(format!("nhost.jwt.key {error}")))?,
            (None, Some(kind)) => JwtRing::own(records, kind, &issuer)
                .map_err(|error| Error::Internal(format!("signing keys: {error}")))?,
            (None, None) => return Err(Error::Internal("nhost.jwt.key is missing".into())),
        };
        let claims = HasuraClaims::new(&jwt.claims_namespace, &nhost.custom_claims, &nhost.custom_claims_defaults);
        let claims = claims.map_err(|error| Error::Internal(format!("nhost.custom_claims: {error}")))?;
        Ok(Self { ring, claims })
    }

    /// Signs the access token of a session of `user`, from this request until `expires_at`.
    ///
    /// # Errors
    /// `Busy` before the project has a key; `Internal` when the claims are too long; and the store's.
    pub(crate) fn issue(
        &self,
        ctx: &Ctx,
        user: &User,
        session: Uuid,
        expires_at: Timestamp,
    ) -> Result<Secret<String>, Error> {
        let person = Person::plain(&ctx.settings, user);
        let roles: Vec<_> = person.roles().collect();
        let holder = Holder {
            user: user.id,
            default_role: person.default_role(),
            roles: &roles,
            is_anonymous: user.is_anonymous,
        };
        // Their picture lies in a row of its own, and only an operator's claims may name it.
        let shown = if self.claims.has_custom() { shown(&Person::of(ctx, user)?) } else { Value::Null };
        let claims = self.claims.of(holder, &shown);
        let namespace = self.claims.namespace();
        let claims = JwtClaims { user: user.id, session, issued_at: ctx.now, expires_at, namespace, claims };
        match self.ring.mint(&claims) {
            Ok(token) => Ok(Secret::new(token)),
            Err(NotMinted::NoKey) => Err(Error::Busy { retry_after: NO_KEY_YET }),
            Err(error @ (NotMinted::TooLong | NotMinted::Failed)) => Err(Error::Internal(error.to_string())),
        }
    }

    /// Whose token it is, and of which session; whether that lives is asked elsewhere. A signature is checked once.
    ///
    /// # Errors
    /// [`Rejected`], for the log.
    pub(crate) fn prove(&self, token: &str, now: Timestamp) -> Result<JwtProof, Rejected> {
        self.ring.verify(token, now)
    }

    /// The key set for those who check such tokens themselves; empty where a secret signs.
    pub fn jwks(&self, now: Timestamp) -> Value {
        self.ring.jwks(now)
    }
}

/// An account as the paths of an operator's claims find it: named as the API shows it.
fn shown(person: &Person<'_>) -> Value {
    let user = person.user;
    let metadata = user.metadata.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null);
    json!({
        "id": user.id,
        "createdAt": user.created_at.rfc3339(),
        "displayName": person.display_name(),
        "avatarUrl": person.avatar_url(),
        "locale": person.locale(),
        "email": user.email,
        "emailVerified": user.email_proof.is_some(),
        "phoneNumber": user.phone.as_ref().map(|phone| phone.number.as_str()),
        "phoneNumberVerified": user.phone.as_ref().is_some_and(|phone| phone.verified),
        "isAnonymous": user.is_anonymous,
        "defaultRole": person.default_role(),
        "roles": person.roles().collect::<Vec<_>>(),
        "metadata": metadata,
    })
}

/// What a project needs keys of its own for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Nobody asks for such tokens.
    Unused,
    /// One is given.
    Given,
    /// A key of this kind signs.
    Own(KeyKind),
}

impl Need {
    pub(super) fn of(settings: &ProjectSettings) -> Self {
        match (&settings.nhost.jwt.key, settings.nhost.jwt.algorithm.own_keys()) {
            _ if !settings.nhost.enabled => Self::Unused,
            (None, Some(kind)) => Self::Own(kind),
            _ => Self::Given,
        }
    }
}
