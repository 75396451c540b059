//! The OpenAPI 3.1 document of a dialect, put together from its table.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::Value;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::OperationBuilder;
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{AnyOfBuilder, Components, Object, ObjectBuilder, Schema, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, License, OpenApiBuilder, PathsBuilder, Ref, RefOr, Required, Response,
    ResponseBuilder, ServerBuilder,
};

use super::operation::Operation;
use super::{Answer, Api, Endpoint, Scope};

const JSON: &str = "application/json";
const HTML: &str = "text/html";
const REQUEST_ID: &str = "x-request-id";

/// The document of `api`, as it is in `scope`.
pub fn document(api: &Api, scope: &Scope<'_>) -> Value {
    let mut parts = Components::new();
    let named = HeaderBuilder::new().schema(Some(string())).description(Some("The request's name in the log."));
    parts.headers.insert(REQUEST_ID.to_owned(), RefOr::T(named.build()));
    let operations: Vec<Told> =
        (api.endpoints)().into_iter().map(|endpoint| Told::of(endpoint, api, scope, &mut parts)).collect();
    let shared = share(&operations, &mut parts);
    let mut paths = PathsBuilder::new().build();
    for told in operations {
        told.write(&shared, &mut paths, &mut parts);
    }
    let mut license = License::new("Apache-2.0");
    license.identifier = Some("Apache-2.0".to_owned());
    let info = InfoBuilder::new()
        .title(api.title)
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(api.description))
        .license(Some(license))
        .build();
    let server = ServerBuilder::new().url(scope.url.as_str()).build();
    let document = OpenApiBuilder::new().info(info).servers(Some([server])).paths(paths).components(Some(parts));
    serde_json::to_value(document.build()).expect("a document holds nothing JSON cannot say")
}

/// An endpoint with all that its parts told.
struct Told {
    endpoint: Endpoint,
    /// Names of the parameters that every request may have.
    common: Vec<String>,
    operation: Operation,
    responses: BTreeMap<u16, Response>,
}

impl Told {
    fn of(mut endpoint: Endpoint, api: &Api, scope: &Scope<'_>, parts: &mut Components) -> Self {
        let mut operation = Operation::default();
        (api.every)(&mut operation, scope);
        // What every request may carry is told once.
        let common = std::mem::take(&mut operation.parameters);
        let common_names = common.iter().map(|parameter| parameter.name.clone()).collect();
        parts.parameters.extend(common.into_iter().map(|parameter| (parameter.name.clone(), RefOr::T(parameter))));
        (endpoint.asks)(&mut operation, scope);
        let mut by_status: BTreeMap<u16, Vec<Answer>> = BTreeMap::new();
        for answer in std::mem::take(&mut endpoint.answers).into_iter().chain(operation.answers.drain(..)) {
            by_status.entry(answer.status).or_default().push(answer);
        }
        let responses = by_status.into_iter().map(|(status, all)| (status, response(&all, parts))).collect();
        Self { endpoint, common: common_names, operation, responses }
    }

    fn write(self, shared: &[(Response, String)], paths: &mut utoipa::openapi::Paths, parts: &mut Components) {
        let Self { endpoint, common, operation, responses } = self;
        let mut written = OperationBuilder::new()
            .operation_id(Some(endpoint.id))
            .summary(Some(endpoint.summary))
            .description(endpoint.description);
        for name in common {
            written = written.parameter_ref(Ref::new(format!("#/components/parameters/{name}")));
        }
        for parameter in operation.parameters {
            written = written.parameter(parameter);
        }
        if let Some((name, fields)) = operation.body {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(name))).build();
            // A body without fields may be left out.
            let required = if fields.required.is_empty() { Required::False } else { Required::True };
            written = written
                .request_body(Some(RequestBodyBuilder::new().content(JSON, content).required(Some(required)).build()));
            parts.schemas.insert(name.to_owned(), RefOr::T(Schema::Object(fields)));
        }
        for (name, scheme) in operation.security {
            written = written.security(SecurityRequirement::new::<_, [&str; 0], &str>(name, []));
            parts.security_schemes.insert(name.to_owned(), RefOr::T(scheme));
        }
        for (status, response) in responses {
            let name = shared.iter().find(|(known, _)| *known == response).map(|(_, name)| name);
            let response = name.map_or(RefOr::T(response), |name| RefOr::Ref(Ref::from_response_name(name)));
            written = written.response(status.to_string(), response);
        }
        paths.add_path_operation(endpoint.path, vec![endpoint.method], written.build());
    }
}

/// The answers with one status, as one.
fn response(answers: &[Answer], parts: &mut Components) -> Response {
    let mut schemas = Vec::new();
    let mut bodies: Vec<Ref> = Vec::new();
    let mut descriptions: Vec<&str> = Vec::new();
    let mut response =
        ResponseBuilder::new().header_ref(REQUEST_ID, Ref::new(format!("#/components/headers/{REQUEST_ID}")));
    for answer in answers {
        let body = answer.body.map(|body| body(&mut schemas));
        bodies.extend(body.filter(|body| !bodies.contains(body)));
        if !descriptions.contains(&answer.description) {
            descriptions.push(answer.description);
        }
        for (name, description) in &answer.headers {
            let header = HeaderBuilder::new().schema(Some(string())).description(Some(*description)).build();
            response = response.header(*name, header);
        }
    }
    parts.schemas.extend(schemas);
    if answers.iter().any(|answer| answer.is_page) {
        let content = ContentBuilder::new().schema(Some(string())).build();
        response = response.content(HTML, content);
    }
    if bodies.is_empty() {
        return response.description(descriptions.join(" ")).build();
    }
    let schema = match <[Ref; 1]>::try_from(bodies) {
        Ok([only]) => RefOr::Ref(only),
        Err(several) => {
            let any = several.into_iter().fold(AnyOfBuilder::new(), |any, body| any.item(body));
            RefOr::T(Schema::AnyOf(any.build()))
        }
    };
    let content = ContentBuilder::new().schema(Some(schema)).build();
    response.description(descriptions.join(" ")).content(JSON, content).build()
}

/// Puts what several operations answer alike into the document's shared part; each with the name it has there.
fn share(operations: &[Told], parts: &mut Components) -> Vec<(Response, String)> {
    let mut shared: Vec<(Response, String)> = Vec::new();
    for (index, told) in operations.iter().enumerate() {
        for (status, response) in &told.responses {
            let known = shared.iter().any(|(known, _)| known == response);
            let again = || operations[index + 1..].iter().any(|other| other.responses.get(status) == Some(response));
            if known || !again() {
                continue;
            }
            let reason = StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason());
            let name = reason.unwrap_or_default().replace([' ', '-', '\''], "");
            let taken = shared.iter().filter(|(_, other)| other.trim_end_matches(|c: char| c.is_ascii_digit()) == name);
            let name = match taken.count() {
                0 => name,
                before => format!("{name}{}", before + 1),
            };
            parts.responses.insert(name.clone(), RefOr::T(response.clone()));
            shared.push((response.clone(), name));
        }
    }
    shared
}

fn string() -> Object {
    ObjectBuilder::new().schema_type(Type::String).build()
}
