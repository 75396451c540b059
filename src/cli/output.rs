//! How results look to a person: tables and lists of fields, with nothing in them that a terminal would obey.

use serde_json::Value;

/// Columns under headings, each as wide as its widest cell.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| visible(cell)).collect()).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([headings[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(&mut headings.iter().copied())];
    lines.extend(rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
    lines.join("\n")
}

/// One `name  value` line for each field.
pub(super) fn fields(fields: &[(&str, String)]) -> String {
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, value): &(&str, String)| format!("{name:width$}  {}", visible(value));
    fields.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A field of an answer as a cell: absent and null as `-`.
pub(super) fn cell(object: &Value, field: &str) -> String {
    match &object[field] {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The entries of the list in `answer`.
pub(super) fn entries<'a>(answer: &'a Value, list: &str) -> &'a [Value] {
    answer[list].as_array().map_or(&[], Vec::as_slice)
}

/// `1 project`, `2 projects`.
pub(super) fn counted(number: u64, what: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{number} {what}{end}")
}

/// Replaces what moves the cursor, colours, or turns the text around: names and agents come from strangers.
pub(super) fn visible(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
    };
    text.chars().map(|c| if hidden(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_their_headings() {
        let rows = [vec!["1".into(), "ada@example.com".into()], vec!["22".into(), "é".into()]];
        assert_eq!(table(&["NO", "EMAIL"], &rows), "NO  EMAIL\n1   ada@example.com\n22  é");
        assert_eq!(fields(&[("id", "7".into()), ("email", "a".into())]), "id     7\nemail  a");
    }

    #[test]
    fn a_terminal_obeys_nothing_in_a_cell() {
        let shown = table(&["AGENT"], &[vec!["\u{1b}[2Jevil\r\n\u{9b}1m\u{202e}x".into()]]);
        assert_eq!(shown, "AGENT\n\u{fffd}[2Jevil\u{fffd}\u{fffd}\u{fffd}1m\u{fffd}x");
    }
}
