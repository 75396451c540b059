//! Whether a JSON value is what a schema of the document says: the part of JSON Schema that the documents use, and no
//! other, so that a keyword nobody checks cannot slip in. Objects are closed: a field the schema does not name is wrong.

use serde_json::Value;

/// Says the first thing that is wrong, with its place.
pub fn check(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    at(document, schema, value, "$")
}

/// What a reference leads to, or the thing itself.
pub fn resolve<'a>(document: &'a Value, part: &'a Value) -> &'a Value {
    match part["$ref"].as_str() {
        Some(reference) => {
            let pointer = reference.strip_prefix('#').expect("a reference into the document itself");
            document.pointer(pointer).unwrap_or_else(|| panic!("{reference} is not in the document"))
        }
        None => part,
    }
}

fn at(document: &Value, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    let schema = resolve(document, schema);
    let wrong = |what: &str| Err(format!("{place}: {what}: {value}, but the document says {schema}"));
    for (keyword, rule) in schema.as_object().expect("a schema is an object") {
        let right = match keyword.as_str() {
            "type" => is_of_type(rule, value),
            "anyOf" => {
                let mut alternatives = rule.as_array().expect("a list").iter();
                alternatives.any(|alternative| at(document, alternative, value, place).is_ok())
            }
            "required" => {
                let names = rule.as_array().expect("a list").iter().map(|name| name.as_str().expect("a name"));
                value.as_object().is_none_or(|object| names.into_iter().all(|name| object.contains_key(name)))
            }
            "enum" => rule.as_array().expect("a list").contains(value),
            "minLength" => value.as_str().is_none_or(|text| text.chars().count() >= number(rule)),
            "maxLength" => value.as_str().is_none_or(|text| text.chars().count() <= number(rule)),
            "maxItems" => value.as_array().is_none_or(|list| list.len() <= number(rule)),
            "minimum" => value.as_i64().is_none_or(|value| rule.as_i64().is_some_and(|least| value >= least)),
            "format" => value.as_str().is_none_or(|text| has_format(rule.as_str().expect("a name"), text)),
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    at(document, rule, item, &format!("{place}[{index}]"))?;
                }
                true
            }
            "properties" | "additionalProperties" => {
                let open = schema.get("additionalProperties");
                for (name, inner) in value.as_object().into_iter().flatten() {
                    let place = format!("{place}.{name}");
                    match (schema["properties"].get(name), open) {
                        (Some(property), _) => at(document, property, inner, &place)?,
                        (None, Some(rest)) => at(document, rest, inner, &place)?,
                        (None, None) => return wrong(&format!("a field {name} that nobody declared")),
                    }
                }
                true
            }
            "propertyNames" | "description" | "examples" => true,
            other => panic!("no test reads the keyword {other}"),
        };
        if !right {
            return wrong(keyword);
        }
    }
    Ok(())
}

fn is_of_type(rule: &Value, value: &Value) -> bool {
    let is = |kind: &Value| match kind.as_str().expect("a type") {
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "null" => value.is_null(),
        other => panic!("no test reads the type {other}"),
    };
    rule.as_array().map_or_else(|| is(rule), |kinds| kinds.iter().any(is))
}

fn has_format(format: &str, text: &str) -> bool {
    match format {
        "uuid" => uuid::Uuid::try_parse(text).is_ok_and(|id| id.to_string() == text),
        "date-time" => text.parse::<jiff::Timestamp>().is_ok(),
        "email" => keystead::auth::Email::parse(text).is_ok(),
        "int64" => true,
        other => panic!("no test reads the format {other}"),
    }
}

fn number(rule: &Value) -> usize {
    usize::try_from(rule.as_u64().expect("a count")).expect("a small count")
}
