//! Environment files, as Docker, Compose and the `nhost` command write them.
//!
//! ```text
//! # a comment
//! export NAME=value       # also this; what is not quoted ends here
//! NAME = "two\nlines"     \n \r \t \\ \" \$ mean what they mean in C; other backslashes are themselves
//! NAME='as it \stands'    only \' is one character
//! NAME="-----BEGIN …
//! …"                      both kinds go over several lines
//! ```
//!
//! Nothing is filled in: `${OTHER}` stays as it is.

use std::fmt;

use crate::crypto::Secret;

/// A variable. Its value is shown by nothing: many are secrets.
#[derive(Debug)]
pub struct Variable {
    /// Letters, digits, `_`, `-` and `.`; the first is no digit.
    pub name: String,
    /// What it is set to.
    pub value: Secret<String>,
    /// Where it begins, from 1.
    pub line: usize,
}

/// A line that says nothing one could understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongLine {
    /// Where it begins, from 1.
    pub line: usize,
    /// Why; nothing of the line is repeated.
    pub reason: &'static str,
}

impl fmt::Display for WrongLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// The variables in order; of those named twice, both.
///
/// # Errors
/// Every line that is wrong, at once.
pub fn parse(text: &str) -> Result<Vec<Variable>, Vec<WrongLine>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let text = Secret::new(text);
    let mut rest = Rest { text: text.expose(), line: 1 };
    let (mut variables, mut wrong) = (Vec::new(), Vec::new());
    while !rest.text.is_empty() {
        let line = rest.line;
        match rest.variable() {
            Ok(Some((name, value))) => variables.push(Variable { name: name.to_owned(), value, line }),
            Ok(None) => {}
            Err(reason) => wrong.push(WrongLine { line, reason }),
        }
    }
    if wrong.is_empty() { Ok(variables) } else { Err(wrong) }
}

/// What has not been read yet.
struct Rest<'a> {
    text: &'a str,
    /// The line it begins on.
    line: usize,
}

impl<'a> Rest<'a> {
    /// Reads a line, or several where a quoted value has them; `None` for one that sets nothing.
    fn variable(&mut self) -> Result<Option<(&'a str, Secret<String>)>, &'static str> {
        let line = self.text.split('\n').next().unwrap_or_default();
        let said = line.trim();
        if said.is_empty() || said.starts_with('#') {
            self.pass(line.len() + 1);
            return Ok(None);
        }
        let Some((before, after)) = line.split_once('=') else {
            self.pass(line.len() + 1);
            return Err("there is no \"=\" in it");
        };
        let name = before.trim();
        let name = name.strip_prefix("export").filter(|name| name.starts_with([' ', '\t'])).unwrap_or(name).trim();
        if !is_name(name) {
            self.pass(line.len() + 1);
            return Err("what stands before \"=\" is no name of a variable");
        }
        let value = after.trim_start();
        self.pass(line.len() - value.len());
        let value = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote)?,
            _ => self.plain(),
        };
        Ok(Some((name, value)))
    }

    /// A value to the end of its line, or to a comment.
    fn plain(&mut self) -> Secret<String> {
        let line = self.text.split('\n').next().unwrap_or_default();
        self.pass(line.len() + 1);
        let comment = [" #", "\t#"].iter().filter_map(|mark| line.find(mark)).min();
        let value = if line.starts_with('#') { "" } else { &line[..comment.unwrap_or(line.len())] };
        Secret::new(value.trim().to_owned())
    }

    /// A value to its closing quote; after it stands nothing but a comment.
    fn quoted(&mut self, quote: char) -> Result<Secret<String>, &'static str> {
        let mut value = Secret::new(String::new());
        let mut chars = self.text.char_indices().skip(1);
        let end = loop {
            let Some((at, c)) = chars.next() else {
                self.pass(self.text.len());
                return Err("its quote is never closed");
            };
            match c {
                _ if c == quote => break at + 1,
                '\\' => match (quote, chars.clone().next().map(|(_, c)| c)) {
                    ('\'', Some('\'')) | ('"', Some('"' | '\\' | '$')) => {
                        value.expose_mut().extend(chars.next().map(|(_, c)| c))
                    }
                    ('"', Some(letter @ ('n' | 'r' | 't'))) => {
                        chars.next();
                        value.expose_mut().push(match letter {
                            'n' => '\n',
                            'r' => '\r',
                            _ => '\t',
                        });
                    }
                    _ => value.expose_mut().push(c),
                },
                _ => value.expose_mut().push(c),
            }
        };
        self.pass(end);
        let after = self.text.split('\n').next().unwrap_or_default();
        self.pass(after.len() + 1);
        let after = after.trim();
        if after.is_empty() || after.starts_with('#') {
            Ok(value)
        } else {
            Err("something stands after its closing quote")
        }
    }

    /// Goes on behind so many bytes, which end where a character does.
    fn pass(&mut self, bytes: usize) {
        let (passed, rest) = self.text.split_at_checked(bytes).unwrap_or((self.text, ""));
        self.line += passed.matches('\n').count();
        self.text = rest;
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String, usize)> {
        let variables = parse(text).expect("no line is wrong");
        variables.into_iter().map(|v| (v.name, v.value.expose().clone(), v.line)).collect()
    }

    #[test]
    fn every_form_of_a_value() {
        let text = "\u{feff}# Nhost\r\n\r\nA=plain text # a comment\r\nexport B = \"x\\ty\\\\ \\\"z\\\" \\d $\" \
         # more\r\n\
                    C='as {\"it\": \"\\n\"} isn\\'t'\r\nD=\nE=#nothing\nexport=1\nF=a#b\nG=\"\"\n  H=last";
        let all = read(text);
        let told: Vec<_> = all.iter().map(|(name, value, line)| (name.as_str(), value.as_str(), *line)).collect();
        assert_eq!(
            told,
            [
                ("A", "plain text", 3),
                ("B", "x\ty\\ \"z\" \\d $", 4),
                ("C", "as {\"it\": \"\\n\"} isn't", 5),
                ("D", "", 6),
                ("E", "", 7),
                ("export", "1", 8),
                ("F", "a#b", 9),
                ("G", "", 10),
                ("H", "last", 11),
            ]
        );
    }

    #[test]
    fn quoted_values_go_over_lines() {
        let all = read("KEY=\"-----BEGIN\r\nabc\n-----END\"\nNEXT='a\n\n# no comment\nb'#c\nLAST=1\n");
        assert_eq!(all[0], ("KEY".into(), "-----BEGIN\nabc\n-----END".into(), 1));
        assert_eq!(all[1], ("NEXT".into(), "a\n\n# no comment\nb".into(), 4));
        assert_eq!(all[2].2, 8);
    }

    #[test]
    fn all_wrong_lines_are_told_and_none_is_repeated() {
        let wrong = parse("A=1\nsecret\n9=x\nB=\"x\" secret\na b=1\nC='x\nD=2").expect_err("wrong lines");
        let lines: Vec<_> = wrong.iter().map(|wrong| wrong.line).collect();
        assert_eq!(lines, [2, 3, 4, 5, 6]);
        assert!(wrong.iter().all(|wrong| !wrong.to_string().contains("secret")), "{wrong:?}");
        assert!(parse("").is_ok_and(|all| all.is_empty()));
        assert!(!format!("{:?}", parse("A=hidden")).contains("hidden"));
    }
}
