//! One operation of the document: what its request holds, and what it answers.

use std::ops::RangeInclusive;

use utoipa::ToSchema;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{
    AdditionalProperties, KnownFormat, Object, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Ref, RefOr, Required};

use super::Scope;

/// Schemas with their names.
pub(super) type Named = Vec<(String, RefOr<Schema>)>;

/// What an operation's request holds and what it answers, as its parts tell it.
#[derive(Default)]
pub struct Operation {
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Option<(&'static str, Object)>,
    pub(super) security: Vec<(&'static str, SecurityScheme)>,
    pub(super) answers: Vec<Answer>,
}

impl Operation {
    /// The request has a JSON body of these fields, known as `name`.
    pub fn body(&mut self, name: &'static str, fields: BodyFields) {
        self.body = Some((name, fields.0));
    }

    /// The request is authenticated by a bearer (RFC 6750), known as `name`.
    pub fn bearer(&mut self, name: &'static str, description: &str) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description)).build();
        self.secured(name, SecurityScheme::Http(bearer));
    }

    /// The request is authenticated in this way, known as `name`; several are alternatives.
    pub fn secured(&mut self, name: &'static str, scheme: SecurityScheme) {
        self.security.push((name, scheme));
    }

    /// The path has a segment `{name}`.
    pub fn path_parameter(&mut self, name: &str, description: &str, schema: Object) {
        self.parameter(name, description, schema, ParameterIn::Path, Required::True);
    }

    /// The request may have the header `name`.
    pub fn header_parameter(&mut self, name: &str, description: &str, schema: Object) {
        self.parameter(name, description, schema, ParameterIn::Header, Required::False);
    }

    /// The query may have the parameter `name`.
    pub fn query_parameter(&mut self, name: &str, description: &str, schema: Object, required: bool) {
        let required = if required { Required::True } else { Required::False };
        self.parameter(name, description, schema, ParameterIn::Query, required);
    }

    fn parameter(&mut self, name: &str, description: &str, schema: Object, place: ParameterIn, required: Required) {
        let parameter = ParameterBuilder::new().name(name).parameter_in(place).required(required);
        self.parameters.push(parameter.description(Some(description)).schema(Some(Schema::from(schema))).build());
    }

    /// One of its answers.
    pub fn answer(&mut self, answer: Answer) {
        self.answers.push(answer);
    }
}

/// An answer: a status and a JSON body.
#[derive(Clone, Debug)]
pub struct Answer {
    pub(super) status: u16,
    pub(super) description: &'static str,
    pub(super) body: Option<fn(&mut Named) -> Ref>,
    pub(super) headers: Vec<(&'static str, &'static str)>,
    pub(super) is_page: bool,
}

impl Answer {
    /// An answer with a `B`. Several with one status are told as one.
    pub fn of<B: ToSchema>(status: u16, description: &'static str) -> Self {
        Self { status, description, body: Some(reference::<B>), headers: Vec::new(), is_page: false }
    }

    /// An answer without a body.
    pub fn empty(status: u16, description: &'static str) -> Self {
        Self { status, description, body: None, headers: Vec::new(), is_page: false }
    }

    /// An answer with a page for people, as HTML.
    pub fn page(status: u16, description: &'static str) -> Self {
        Self { is_page: true, ..Self::empty(status, description) }
    }

    /// The same, with a header more: its name, and what it says.
    pub fn with_header(mut self, name: &'static str, description: &'static str) -> Self {
        self.headers.push((name, description));
        self
    }

    /// The same, with `Retry-After`.
    pub fn with_retry_after(self) -> Self {
        self.with_header("retry-after", "After how many seconds to try again.")
    }
}

fn reference<B: ToSchema>(schemas: &mut Named) -> Ref {
    schemas.push((B::name().into(), B::schema()));
    B::schemas(schemas);
    Ref::from_schema_name(B::name())
}

/// What an argument of a handler reads of a request, and what is answered when that is wrong.
pub trait Asks {
    /// Tells `operation`.
    fn ask(operation: &mut Operation, scope: &Scope<'_>);
}

/// The arguments of a handler, as axum spells them: a marker, then the types.
pub trait Arguments {
    /// Tells `operation` what each of them asks for.
    fn ask(operation: &mut Operation, scope: &Scope<'_>);
}

impl Arguments for ((),) {
    fn ask(_: &mut Operation, _: &Scope<'_>) {}
}

macro_rules! arguments {
    ($($argument:ident)+) => {
        impl<M, $($argument: Asks),+> Arguments for (M, $($argument,)+) {
            fn ask(operation: &mut Operation, scope: &Scope<'_>) {
                $($argument::ask(operation, scope);)+
            }
        }
    };
}

arguments!(A);
arguments!(A B);
arguments!(A B C);
arguments!(A B C D);
arguments!(A B C D E);

/// The fields of a JSON body, written down as a reader asks for them.
#[derive(Clone, Default)]
pub struct BodyFields(Object);

impl BodyFields {
    /// A field that must be there.
    pub fn required(&mut self, name: &str, schema: impl Into<Schema>) {
        self.optional(name, schema);
        self.0.required.push(name.to_owned());
    }

    /// A field that is an object of these fields, and may be left out.
    pub fn object(&mut self, name: &str, fields: Self) {
        self.optional(name, fields.0);
    }

    /// No other field may be there.
    pub fn close(&mut self) {
        self.0.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
    }

    /// A field that may be left out.
    pub fn optional(&mut self, name: &str, schema: impl Into<Schema>) {
        self.0.properties.insert(name.to_owned(), RefOr::T(schema.into()));
    }
}

/// A text of so many characters.
pub fn text(chars: RangeInclusive<usize>) -> Object {
    let text = ObjectBuilder::new().schema_type(Type::String);
    let least = Some(*chars.start()).filter(|least| *least > 0);
    text.min_length(least).max_length(Some(*chars.end())).build()
}

/// An e-mail address of at most so many characters.
pub fn email(max: usize) -> Object {
    let mut email = text(0..=max);
    email.format = Some(SchemaFormat::KnownFormat(KnownFormat::Email));
    email
}

/// The same value, or `null`.
pub fn nullable(schema: impl Into<Schema>) -> Schema {
    let or_null = |kind: &mut SchemaType| {
        if let SchemaType::Type(one) = kind {
            *kind = SchemaType::Array(vec![one.clone(), Type::Null]);
        }
    };
    let mut schema = schema.into();
    match &mut schema {
        Schema::Object(object) => or_null(&mut object.schema_type),
        Schema::Array(array) => or_null(&mut array.schema_type),
        _ => {}
    }
    schema
}
