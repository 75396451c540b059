//! The OpenAPI documents: kept as files, served, and true. Every reply of every persona is held against them.

mod requests;
mod schema;
mod served;

use std::path::Path;
use std::sync::LazyLock;

use keystead::auth::ProjectSettings;
use keystead::dialect::Dialect;
use keystead::http::openapi::Scope;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// The documents of a project nobody set anything for.
static DOCUMENTS: LazyLock<Vec<(Dialect, Value)>> = LazyLock::new(|| {
    let settings = ProjectSettings::named("default");
    let scope = |mount| Scope { settings: &settings, url: format!("https://127.0.0.1:8443{mount}"), project: None };
    let document = |dialect: Dialect| dialect.document(&scope(dialect.mounts(&settings).next().expect("it is on")));
    Dialect::ALL.map(|dialect| (dialect, document(dialect))).into()
});

/// The document of a dialect with the usual settings.
pub fn document(dialect: Dialect) -> &'static Value {
    DOCUMENTS.iter().find(|(known, _)| *known == dialect).map(|(_, document)| document).expect("all are there")
}

/// Holds a reply to `method path` (below the mount) against the document: its status, headers and body must be what is
/// declared there. What is no operation has no reply to declare.
///
/// # Panics
/// When the document does not say what was answered.
#[track_caller]
pub fn check(dialect: Dialect, method: &Method, path: &str, status: u16, headers: &HeaderMap, body: &Value) {
    let document = document(dialect);
    let Some(operation) = operation(document, method, path) else { return };
    let told = &operation["responses"][status.to_string()];
    assert!(!told.is_null(), "{method} {path} answered {status}, which the document does not know: {body}");
    let told = schema::resolve(document, told);
    for (name, _) in told["headers"].as_object().into_iter().flatten() {
        assert!(headers.contains_key(name), "{method} {path} answered {status} without {name}");
    }
    if told["content"].is_null() {
        assert!(
            body.is_null(),
            "{method} {path} answered {status} with a body, which the document does not know: {body}"
        );
        return;
    }
    if let Err(wrong) = schema::check(document, &told["content"]["application/json"]["schema"], body) {
        panic!("{method} {path} answered {status}, {wrong}");
    }
}

fn operation<'a>(document: &'a Value, method: &Method, path: &str) -> Option<&'a Value> {
    let path = path.split('?').next().unwrap_or_default();
    let matches = |template: &str| {
        let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
        template.len() == path.len() && template.iter().zip(&path).all(|(t, p)| t == p || t.starts_with('{'))
    };
    let paths = document["paths"].as_object().expect("paths");
    // A path without variables goes before one with.
    let exact = paths.get(path);
    let item = exact.or_else(|| paths.iter().find(|(template, _)| matches(template)).map(|(_, item)| item))?;
    item.get(method.as_str().to_ascii_lowercase())
}

/// To change a file: `keystead openapi DIALECT >tests/openapi/DIALECT.json`.
#[test]
fn each_document_is_the_one_on_file() {
    for dialect in Dialect::ALL {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/openapi/{}.json", dialect.name()));
        let on_file = std::fs::read_to_string(&path).unwrap_or_default();
        let made = format!("{}\n", serde_json::to_string_pretty(document(dialect)).expect("JSON"));
        let differs = on_file.lines().zip(made.lines()).position(|(old, new)| old != new);
        let line = differs.unwrap_or(on_file.lines().count().min(made.lines().count()));
        assert!(
            on_file == made,
            "{} differs from line {}: {:?} instead of {:?}",
            path.display(),
            line + 1,
            made.lines().nth(line),
            on_file.lines().nth(line),
        );
    }
}

/// The whole API on one page: what each operation takes and answers.
#[test]
fn each_api_at_a_glance() {
    for dialect in Dialect::ALL {
        let document = document(dialect);
        let mut page = String::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("operations") {
                let body = &operation["requestBody"]["content"]["application/json"]["schema"];
                let takes = [name(body), security(operation)].join(" ");
                page.push_str(&format!("{} {path}  {}\n", method.to_ascii_uppercase(), takes.trim()));
                for (status, response) in operation["responses"].as_object().expect("responses") {
                    let body = &schema::resolve(document, response)["content"]["application/json"]["schema"];
                    page.push_str(&format!("    {status} {}\n", name(body)));
                }
            }
        }
        insta::assert_snapshot!(dialect.name(), page);
    }
}

/// The names of the schemas that a body may have.
fn name(schema: &Value) -> String {
    let of =
        |schema: &Value| schema["$ref"].as_str().map(|path| path.rsplit('/').next().unwrap_or_default().to_owned());
    match schema["anyOf"].as_array() {
        Some(several) => several.iter().filter_map(of).collect::<Vec<_>>().join(" or "),
        None => of(schema).unwrap_or_default(),
    }
}

/// The names of the ways to authenticate.
fn security(operation: &Value) -> String {
    let ways = operation["security"].as_array().into_iter().flatten().filter_map(Value::as_object);
    ways.flat_map(|way| way.keys()).map(|name| format!("[{name}]")).collect::<Vec<_>>().join(" ")
}
