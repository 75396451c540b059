//! Log lines as they are written: with the name of the request they are about, wherever in the program they come from.

use std::fmt::{self, Write as _};

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use crate::auth::RequestId;
use crate::config::LogFormat;
use crate::env::Env;
use crate::http::scope;

/// What `F` writes, and the request.
pub(super) struct WithRequest<F> {
    pub(super) line: F,
    pub(super) format: LogFormat,
}

impl<S, N, F> FormatEvent<S, N> for WithRequest<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        // A line that others read by its form names its request itself.
        let is_named = event.metadata().fields().field("request").is_some();
        let Some(request) = scope::request().filter(|_| !is_named) else {
            return self.line.format_event(ctx, writer, event);
        };
        let mut line = String::new();
        self.line.format_event(ctx, Writer::new(&mut line), event)?;
        writer.write_str(&named(&line, &request, self.format))
    }
}

/// `line` with the request at its end.
fn named(line: &str, request: &RequestId, format: LogFormat) -> String {
    let line = line.trim_end_matches('\n');
    // A name is of letters, digits and `._-` only: nothing to escape in either form.
    let mut name = match format {
        LogFormat::Text => format!(" request={request}"),
        LogFormat::Json => format!(",\"request\":\"{request}\""),
    };
    if request.given_name().is_some() {
        // Rows that keep the request know it by our own number.
        let number = request.number();
        let _ = match format {
            LogFormat::Text => write!(name, " number={number:016x}"),
            LogFormat::Json => write!(name, ",\"number\":\"{number:016x}\""),
        };
    }
    match (format, line.strip_suffix('}')) {
        (LogFormat::Json, Some(open)) => format!("{open}{name}}}\n"),
        _ => format!("{line}{name}\n"),
    }
}

/// The line that says how many others were dropped, written where no subscriber is.
pub(super) fn lost(lines: u64, format: LogFormat, env: &Env) -> String {
    let (at, message) = (env.now().rfc3339(), "log lines were dropped: whoever reads them was too slow");
    match format {
        LogFormat::Text => format!("{at}  WARN keystead::cli::outlet: {message} lines={lines}\n"),
        LogFormat::Json => {
            let fields = serde_json::json!({ "message": message, "lines": lines });
            let line = serde_json::json!({
                "timestamp": at, "level": "WARN", "fields": fields, "target": "keystead::cli::outlet",
            });
            format!("{line}\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_request_stands_at_the_end_of_its_lines() {
        let own = RequestId::new(0x2a);
        assert_eq!(named("WARN x: no\n", &own, LogFormat::Text), "WARN x: no request=000000000000002a\n");
        let given = RequestId::given(0x2a, b"from-the-proxy");
        let line = "WARN x: no request=from-the-proxy number=000000000000002a\n";
        assert_eq!(named("WARN x: no\n", &given, LogFormat::Text), line);
        let line = named("{\"level\":\"WARN\",\"fields\":{}}\n", &given, LogFormat::Json);
        let json: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&json["request"], &json["number"]), (&"from-the-proxy".into(), &"000000000000002a".into()));
        assert!(line.ends_with("}\n") && line.matches('\n').count() == 1);
    }

    #[test]
    fn what_a_stranger_calls_it_does_not_get_into_a_line() {
        for odd in [&b""[..], b"a b", b"a\nb", b"\"", b"\xff", &[b'a'; 129]] {
            assert_eq!(RequestId::given(1, odd).to_string(), "0000000000000001");
        }
        assert_eq!(RequestId::given(1, &[b'a'; 128]).to_string(), "a".repeat(128));
    }

    #[test]
    fn what_was_lost_is_said_in_either_form() {
        assert!(lost(3, LogFormat::Text, &Env::system()).ends_with("too slow lines=3\n"));
        let json: Value = serde_json::from_str(&lost(3, LogFormat::Json, &Env::system())).unwrap();
        assert_eq!((&json["level"], &json["fields"]["lines"]), (&"WARN".into(), &3.into()));
    }
}
