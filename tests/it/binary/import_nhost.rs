//! `keystead import --from nhost`: whoever was signed in stays signed in, by the very refresh token they hold; a second run
//! adds nothing and brings nothing back; what does not come along is said.

use serde_json::{Value, json};

use super::client::anon;
use super::process::{Ended, Place};

/// bcrypt of `U*U`: John the Ripper's vector.
const HASH: &str = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
const ADA: &str = "0b5d0c1e-8f2f-4b39-9a5b-0f7a3f1d2c01";
const GRACE: &str = "0b5d0c1e-8f2f-4b39-9a5b-0f7a3f1d2c02";
const NOBODY: &str = "0b5d0c1e-8f2f-4b39-9a5b-0f7a3f1d2c03";
const LINUS: &str = "0b5d0c1e-8f2f-4b39-9a5b-0f7a3f1d2c04";
/// A refresh token's text, and `\x` and its SHA-256 (`printf %s TOKEN | sha256sum`), for each number.
pub(super) const TOKENS: [(&str, &str); 5] = [
    ("6f1a4c1e-0d5b-4b8e-9a53-2f6d0d1f7c01", r"\xba974a4ff108d69c0a45054d22006e4e58804df5e67b42d73982997e57ed7e24"),
    ("6f1a4c1e-0d5b-4b8e-9a53-2f6d0d1f7c02", r"\xea58f95f2e2ab6c8f70d971a1b9162c736d04ad6c95b670235d0a76287bcd9c5"),
    ("6f1a4c1e-0d5b-4b8e-9a53-2f6d0d1f7c03", r"\xef3f381c97be02cac0482096d14c3694b854813fa6219f806f19233b2b5e5371"),
    ("6f1a4c1e-0d5b-4b8e-9a53-2f6d0d1f7c04", r"\x26045f1e042bb9b25bf9c67a526aebc6e6a52ead7b761def6e8423f007527a82"),
    ("6f1a4c1e-0d5b-4b8e-9a53-2f6d0d1f7c05", r"\x4f1adb3a97aad5238ff32d22fb72330a391c5a1aeacf54cbcc3b61efc2fcfaa4"),
];

/// The same of a personal access token.
pub(super) const PERSONAL: (&str, &str) =
    ("6f1a4c1e-0d5b-4b8e-9a53-2f6d0d1f7c06", r"\x7a196d580c4643e661f77364cbe46141eacc58f28bf8b05acf5fd98fc046a37b");

/// As `\copy (select * from auth.users) to 'users.csv' with csv header` writes them: an account with everything, one that
/// is switched off, one without credentials, one of a provider with a second factor.
fn users() -> String {
    format!(
        "id,created_at,updated_at,last_seen,disabled,display_name,avatar_url,locale,email,phone_number,password_hash,\
         email_verified,phone_number_verified,new_email,otp_method_last_used,otp_hash,otp_hash_expires_at,default_role,\
         is_anonymous,totp_secret,active_mfa_type,ticket,ticket_expires_at,metadata,webauthn_current_challenge\n\
         {ADA},2025-01-15 10:30:00.123456+00,2025-01-15 10:30:00+00,,f,\"Lovelace, Ada\",https://cdn.example.com/ada.png,fr,\
         Ada@Example.com,+15550100,{HASH},t,t,,,,1970-01-01 00:00:00+00,editor,f,,,verifyEmail:c0ffee,\
         2125-01-15 10:30:00+00,\"{{\"\"plan\"\": \"\"pro\"\", \"\"seats\"\": 3}}\",\n\
         {GRACE},2025-01-16 10:30:00+00,2025-01-16 10:30:00+00,,t,Grace,\
         https://www.gravatar.com/avatar/3e3417d7ef77d5932a6734b916515ed5?d=blank&r=g,en,grace@example.com,,{HASH},f,f,,,,,user,f,,,,,,\n\
         {NOBODY},2025-01-17 10:30:00+00,2025-01-17 10:30:00+00,,f,Anonymous User,\"\",en,,,,f,f,,,,,anonymous,t,,,,,,\n\
         {LINUS},2025-01-18 10:30:00+00,2025-01-18 10:30:00+00,,f,Linus,,en,linus@example.com,,,t,f,,,,,user,f,JBSWY3DPEHPK3PXP,totp,,,null,\n"
    )
}

pub(super) fn tables(place: &Place) {
    let line = |user: &str, number: usize, until: &str, kind: &str| {
        let hash = TOKENS[number].1;
        format!("0c5d0c1e-8f2f-4b39-9a5b-0f7a3f1d2c0{number},2025-02-01 00:00:00+00,{until},{user},,{kind},{hash}\n")
    };
    let soon = "2125-01-01 00:00:00+00";
    let tokens = [
        "id,created_at,expires_at,user_id,metadata,type,refresh_token_hash\n".to_owned(),
        line(ADA, 0, soon, "regular"),
        line(ADA, 1, "2025-03-01 00:00:00.5+00", "regular"),
        line(GRACE, 2, soon, "regular"),
        line(NOBODY, 3, soon, "regular"),
        line(LINUS, 4, soon, "oauth2"),
        // A personal access token, the type's own metadata with it.
        format!(
            "0c5d0c1e-8f2f-4b39-9a5b-0f7a3f1d2c05,2025-02-01 00:00:00+00,{soon},{ADA},\"{{\"\"name\"\": \"\"ci\"\"}}\",pat,{}\n",
            PERSONAL.1
        ),
    ];
    place.write("users.csv", &users());
    place.write(
        "user_roles.csv",
        &format!(
            "id,created_at,user_id,role\n1,,{ADA},me\n2,,{ADA},editor\n3,,{GRACE},me\n4,,{GRACE},user\n\
             5,,{NOBODY},anonymous\n6,,{LINUS},user\n7,,{LINUS},me\n"
        ),
    );
    place.write("refresh_tokens.csv", &tokens.concat());
    place.write(
        "user_providers.csv",
        &format!("id,created_at,updated_at,user_id,access_token,refresh_token,provider_id,provider_user_id\n1,,,{LINUS},gho_x,,github,1024025\n"),
    );
    place.write("user_security_keys.csv", &format!("id,user_id,credential_id\n1,{ADA},abc\n"));
}

fn import(place: &Place, more: &[&str]) -> (Ended, Value) {
    let ended = place.run(&[&["import", "--from", "nhost", ".", "--json"], more].concat());
    let told = serde_json::from_str(&ended.out).unwrap_or_default();
    (ended, told)
}

fn tally(told: &Value) -> [u64; 6] {
    ["made", "present", "skipped", "sessions", "personal_tokens", "identities"]
        .map(|name| told[name].as_u64().expect("a count"))
}

#[tokio::test]
async fn whoever_was_signed_in_stays_so() {
    for live in [true, false] {
        let place = Place::new();
        tables(&place);
        let mut server = Some(place.start());
        if !live {
            assert_eq!(server.take().expect("a server").stop().code, Some(0));
        }
        let (ended, told) = import(&place, &[]);
        assert_eq!((ended.code, tally(&told)), (Some(0), [4, 0, 0, 2, 1, 1]), "{}", ended.err);
        let server = server.unwrap_or_else(|| place.start());
        let anon = anon(&server).speaking_nhost();
        let refresh = async |token: &str| anon.post("/token", &json!({ "refreshToken": token })).await;

        let first = refresh(TOKENS[0].0).await.expect(200).body;
        assert_eq!(
            first["user"],
            json!({
                "id": ADA, "createdAt": "2025-01-15T10:30:00Z", "displayName": "Lovelace, Ada", "locale": "fr",
                "avatarUrl": "https://cdn.example.com/ada.png", "email": "Ada@Example.com", "emailVerified": true,
                "phoneNumber": "+15550100", "phoneNumberVerified": true, "isAnonymous": false, "defaultRole": "editor",
                "roles": ["editor", "me"], "metadata": { "plan": "pro", "seats": 3 }, "activeMfaType": null,
            })
        );
        let me = anon.with_token(first["accessToken"].as_str().expect("a token"));
        assert_eq!(me.get("/user").await.expect(200).body["id"], ADA);
        // The next tokens are ours; the one that was brought leads nowhere as soon as the first of them was used.
        let second = refresh(first["refreshToken"].as_str().expect("a token")).await.expect(200).body;
        assert_eq!(first["refreshTokenId"], second["refreshTokenId"]);
        refresh(TOKENS[0].0).await.expect(401);
        let third = refresh(second["refreshToken"].as_str().expect("a token")).await.expect(200).body;
        let nobody = refresh(TOKENS[3].0).await.expect(200).body;
        assert_eq!((&nobody["user"]["isAnonymous"], &nobody["user"]["roles"]), (&json!(true), &json!(["anonymous"])));
        for expired_or_switched_off in [TOKENS[1].0, TOKENS[2].0, TOKENS[4].0] {
            refresh(expired_or_switched_off).await.expect(401);
        }
        let password = json!({ "email": "ada@example.com", "password": "U*U" });
        let roles =
            anon.post("/signin/email-password", &password).await.expect(200).body["session"]["user"]["roles"].clone();
        assert_eq!(roles, json!(["editor", "me"]));

        let personal = json!({ "personalAccessToken": PERSONAL.0 });
        let by_token = anon.post("/signin/pat", &personal).await.expect(200).body;
        assert_eq!(by_token["session"]["user"]["id"], ADA);
        refresh(PERSONAL.0).await.expect(401);

        // Again: nothing twice, and nothing that has ended works again.
        let (ended, told) = import(&place, &[]);
        assert_eq!((ended.code, tally(&told)), (Some(0), [0, 4, 0, 0, 0, 0]), "{}", ended.err);
        refresh(TOKENS[0].0).await.expect(401);
        assert_eq!(place.run(&["user", "delete", "ada@example.com", "--yes"]).code, Some(0));
        let (ended, told) = import(&place, &[]);
        assert_eq!((ended.code, tally(&told)), (Some(0), [0, 4, 0, 0, 0, 0]), "{}", ended.err);
        anon.post("/signin/pat", &personal).await.expect(401);
        for token in [TOKENS[0].0, third["refreshToken"].as_str().expect("a token")] {
            refresh(token).await.expect(401);
        }
        assert_eq!(server.stop().code, Some(0));
    }
}

#[test]
fn what_does_not_come_along_is_said() {
    let place = Place::new();
    tables(&place);
    assert_eq!(place.start().stop().code, Some(0));
    let (ended, told) = import(&place, &[]);
    let left = told["not_carried"].as_array().expect("a list");
    let count = |what: &str| {
        left.iter().find(|one| one["what"].as_str().is_some_and(|text| text.contains(what))).map(|one| &one["count"])
    };
    for what in [
        "second factor",
        "security keys",
        "tokens of providers",
        "have expired",
        "OAuth 2",
        "switched off",
        "links in mails",
    ] {
        assert_eq!(count(what), Some(&json!(1)), "{what}: {left:?}");
    }
    let shown = place.run(&["user", "show", "ada@example.com", "--json"]);
    let shown: Value = serde_json::from_str(&shown.out).expect("JSON");
    assert_eq!(shown["verified_by"], "operator");
    // For people.
    let told = place.run(&["import", "--from", "nhost", "."]).out;
    assert!(
        told.contains("0 made, 4 were there already") && told.contains("not carried over: 1 security keys"),
        "{told}"
    );
    for secret in ["JBSWY3DPEHPK3PXP", "gho_x", "CCCC", "ba974a4f", "c0ffee"] {
        assert!(!told.contains(secret) && !ended.out.contains(secret) && !ended.err.contains(secret), "{secret}");
    }
}

/// Tables of an older version: fewer columns, tokens that were not yet kept as hashes; and those that are not there.
#[tokio::test]
async fn older_tables_come_too() {
    let place = Place::new();
    let server = place.start();
    place.write("users.csv", &format!("email,id,password_hash,default_role\nada@example.com,{ADA},{HASH},user\n"));
    let told = place.run(&["import", "--from", "nhost", "."]);
    assert!(told.code == Some(1) && told.err.contains("user_roles.csv"), "{}", told.err);
    place.write("user_roles.csv", &format!("user_id,role\n{ADA},user\n{ADA},me\n"));
    place.write(
        "refresh_tokens.csv",
        &format!("refresh_token,expires_at,user_id\n{},2125-01-01 00:00:00+00,{ADA}\n", TOKENS[0].0),
    );
    let (ended, told) = import(&place, &[]);
    assert_eq!((ended.code, tally(&told)), (Some(0), [1, 0, 0, 1, 0, 0]), "{}", ended.err);
    let token = json!({ "refreshToken": TOKENS[0].0 });
    let user = anon(&server).speaking_nhost().post("/token", &token).await.expect(200).body["user"].clone();
    assert_eq!((&user["roles"], &user["emailVerified"]), (&json!(["me", "user"]), &json!(false)));
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn wrong_rows_are_named_by_file_and_line() {
    let place = Place::new();
    assert_eq!(place.start().stop().code, Some(0));
    place.write(
        "users.csv",
        &format!(
            "id,email,password_hash,disabled,metadata,phone_number\n{ADA},ada@example.com,{HASH},f,,\n\
             7,two@example.com,,f,,\n{GRACE},three@example.com,plain text,f,,\n{GRACE},four,,f,,\n\
             {GRACE},five@example.com,,perhaps,,\n{GRACE},six@example.com,,f,[1],\n{GRACE},seven@example.com,,f,{{,\n\
             {GRACE},eight@example.com,,f,,call me\n{GRACE},nine@example.com\n"
        ),
    );
    place.write("user_roles.csv", &format!("user_id,role\n{ADA},user\n7,user\n{ADA},\n"));
    place.write(
        "refresh_tokens.csv",
        &format!(
            "user_id,expires_at,type,refresh_token_hash\n{ADA},2125-01-01,regular,hush\n{ADA},never,regular,{}\n\
             {ADA},2125-01-01,regular,{}\n{ADA},2125-01-01,regular,{}\n",
            TOKENS[0].1, TOKENS[0].1, TOKENS[0].1
        ),
    );
    let (ended, told) = import(&place, &[]);
    assert_eq!((ended.code, tally(&told)), (Some(1), [0, 0, 0, 0, 0, 0]));
    assert!(ended.err.contains("user_roles.csv, line 3"), "{}", ended.err);
    let (ended, told) = import(&place, &["--skip-invalid"]);
    // Of two rows with one token, one is brought.
    assert_eq!((ended.code, tally(&told)), (Some(0), [1, 0, 12, 1, 0, 0]), "{}", ended.err);
    let mut named: Vec<_> = told["skipped_lines"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| format!("{} {}", one["file"], one["line"]))
        .collect();
    named.sort();
    let expected: Vec<_> = [("refresh_tokens.csv", 2..4), ("user_roles.csv", 3..5), ("users.csv", 3..11)]
        .into_iter()
        .flat_map(|(file, lines)| lines.map(move |line| format!("\"{file}\" {line}")))
        .collect();
    let mut expected = expected;
    expected.sort();
    assert_eq!(named, expected);
    assert!(!ended.err.contains("hush") && !ended.err.contains("plain text") && !ended.err.contains("ba974"));
}
