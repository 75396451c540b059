//! What a document says of requests is what the server keeps: every declared operation is called, and every limit of
//! every declared field is tried on both sides.

use keystead::dialect::Dialect;
use keystead::testing::Server;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{document, schema};
use crate::persona::{Persona, Reply};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// An operation of the document.
struct Call<'a> {
    method: Method,
    path: String,
    /// The name of the way to authenticate, where one is needed.
    security: Option<&'a String>,
    /// The schema of its body's fields; null when it takes none.
    fields: &'a Value,
}

impl Call<'_> {
    async fn send(&self, caller: &Persona, body: &Map<String, Value>) -> Reply {
        let body = (!self.fields.is_null()).then(|| ("application/json", serde_json::to_vec(body).expect("JSON")));
        caller.send(self.method.clone(), &self.path, body).await
    }

    /// Who is let in.
    fn caller(&self, anon: &Persona, user: &Persona) -> Persona {
        match self.security.map(String::as_str) {
            None => anon.clone(),
            Some("user") => user.clone(),
            Some("service") => anon.with_token(SECRET),
            Some(other) => panic!("no test authenticates by {other}"),
        }
    }
}

/// Every operation of a document.
fn calls(document: &Value) -> Vec<Call<'_>> {
    let mut calls = Vec::new();
    for (template, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let body = &operation["requestBody"]["content"]["application/json"]["schema"];
            calls.push(Call {
                method: method.to_ascii_uppercase().parse().expect("a method"),
                path: template.replace("{id}", "1"),
                security: operation["security"][0].as_object().and_then(|way| way.keys().next()),
                fields: if body.is_null() { body } else { schema::resolve(document, body) },
            });
        }
    }
    calls
}

/// Something that a field's schema allows, of `chars` characters where it is a text.
fn sample(schema: &Value, chars: usize) -> Value {
    if let Some(example) = schema["examples"].get(0) {
        return example.clone();
    }
    let kind = schema["type"].as_array().map_or(&schema["type"], |kinds| &kinds[0]);
    match kind.as_str().expect("a type") {
        "string" if schema["format"] == "email" => json!(format!("a@{}", "x".repeat(chars - 2))),
        "string" => json!("x".repeat(chars)),
        "array" => json!([]),
        other => panic!("no test makes a {other}"),
    }
}

/// A number of characters that a field's schema allows.
fn fitting(schema: &Value) -> usize {
    let least = schema["minLength"].as_u64().map_or(5, |least| least.max(5));
    usize::try_from(least).expect("a small number")
}

/// A body that the schema allows, of required fields only.
fn least(fields: &Value) -> Map<String, Value> {
    let required = fields["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    required
        .map(|name| {
            let field = &fields["properties"][name];
            (name.to_owned(), sample(field, fitting(field)))
        })
        .collect()
}

/// Whether the reply refuses the form of this field, as the contract words it.
fn refuses(reply: &Reply, name: &str) -> bool {
    let errors = reply.body["errors"].as_object().into_iter().flatten();
    let of_field = errors.filter(|(key, _)| *key == name || key.starts_with(&format!("{name}.")));
    let messages = of_field.flat_map(|(_, list)| list.as_array().expect("a list")).filter_map(Value::as_str);
    let told = |message: &str| message.contains(" field is required") || message.contains(" field must ");
    // The new password is the current one: nothing about its form.
    let refused = messages.filter(|message| told(message) && !message.contains("must be different")).count() > 0;
    assert!(!refused || reply.status == 422, "{}", reply.text);
    refused
}

#[tokio::test]
async fn every_limit_of_every_field_is_kept_and_no_other() {
    let server = Server::with(&[("PROJECT__DEFAULT__SECRET", SECRET)]).await;
    let anon = Persona::anon(&server);
    let (user, _) = anon.sign_up("ada@example.com", "correct horse").await;
    let mut tried = 0;
    for call in calls(document(Dialect::Noma)) {
        let caller = call.caller(&anon, &user);
        for (name, field) in call.fields["properties"].as_object().into_iter().flatten() {
            let with = |value: Option<Value>| {
                let mut body = least(call.fields);
                match value {
                    Some(value) => body.insert(name.clone(), value),
                    None => body.remove(name),
                };
                body
            };
            let required = call.fields["required"].as_array().is_some_and(|names| names.contains(&json!(name)));
            let nullable = field["type"].as_array().is_some_and(|kinds| kinds.contains(&json!("null")));
            assert_ne!(required, nullable, "{name}: what may be left out may be null");
            let mut cases = vec![
                (Some(sample(field, fitting(field))), false),
                (None, required),
                (Some(Value::Null), required),
                (Some(json!(7)), true),
                (Some(json!({})), true),
            ];
            if let Some(most) = field["maxLength"].as_u64().map(|most| usize::try_from(most).expect("a small number")) {
                cases.extend([(Some(sample(field, most)), false), (Some(sample(field, most + 1)), true)]);
            }
            if let Some(min) = field["minLength"].as_u64().map(|min| usize::try_from(min).expect("a small number")) {
                cases.extend([(Some(sample(field, min)), false), (Some(sample(field, min - 1)), true)]);
            }
            if let Some(most) = field["maxItems"].as_u64() {
                let longest = usize::try_from(field["items"]["maxLength"].as_u64().expect("a limit")).expect("small");
                let list = |count: u64, chars| Some(json!(vec!["x".repeat(chars); count as usize]));
                cases.extend([(list(most, 1), false), (list(most + 1, 1), true)]);
                cases.extend([(list(1, longest), false), (list(1, longest + 1), true)]);
            }
            for (value, wrong) in cases {
                let reply = call.send(&caller, &with(value.clone())).await;
                let told = format!("{} {} with {name} = {value:?}: {}", call.method, call.path, reply.text);
                assert_eq!(refuses(&reply, name), wrong, "{told}");
                tried += 1;
            }
        }
    }
    assert!(tried > 100, "{tried} cases: the document lost its fields");
}

#[tokio::test]
async fn whoever_is_not_let_in_is_told_so_and_all_others_are_let_in() {
    let server = Server::with(&[("PROJECT__DEFAULT__SECRET", SECRET)]).await;
    let anon = Persona::anon(&server);
    for (index, call) in calls(document(Dialect::Noma)).iter().enumerate() {
        // A user for each: some of these calls end the session.
        let (user, _) = anon.sign_up(&format!("user{index}@example.com"), "correct horse").await;
        let body = least(call.fields);
        let stranger = call.send(&anon, &body).await;
        let refused = stranger.body["message"] == "Unauthenticated.";
        assert_eq!(refused, call.security.is_some(), "{} {}: {}", call.method, call.path, stranger.text);
        let let_in = call.send(&call.caller(&anon, &user), &body).await;
        assert_ne!(let_in.body["message"], "Unauthenticated.", "{} {}", call.method, call.path);
    }
}
