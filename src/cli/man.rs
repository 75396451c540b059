//! `keystead man`: the manual page, from the same words as the help.

use std::fmt::Write as _;

use anyhow::Result;
use clap::{Arg, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use super::{Cli, Surroundings};

pub(super) fn run(around: &mut Surroundings) -> Result<()> {
    Ok(around.console.say(page()?.trim_end())?)
}

/// One page for all commands, as roff.
fn page() -> Result<String> {
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    let man = Man::new(command.clone()).manual("Keystead");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    let mut commands = Roff::new();
    commands.control("SH", ["COMMANDS"]);
    each_leaf(&command, &mut |leaf| describe(leaf, &mut commands));
    commands.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in [("0", "done"), ("1", "failed"), ("2", "wrong usage"), ("78", "wrong configuration")] {
        commands.control("TP", []).text([bold(code)]).text([roman(meaning)]);
    }
    commands.control("SH", ["ENVIRONMENT"]);
    commands.text([
        roman("Every setting can be given as "),
        bold("KEYSTEAD_"),
        roman("and its path in upper case, with __ between levels; "),
        bold("keystead config example"),
        roman(" shows them all. "),
        bold("KEYSTEAD_LOG"),
        roman(" says what is logged, such as info,keystead::auth=debug."),
    ]);
    commands.to_writer(&mut page)?;
    let page = String::from_utf8(page)?;
    // Each part defines the apostrophe anew.
    let (preamble, rest) = page.split_at(page.find(".TH").unwrap_or_default());
    Ok(format!("{preamble}{}", rest.replace(preamble, "")))
}

/// Goes through the commands that do something, in the order of the help.
fn each_leaf(command: &Command, then: &mut impl FnMut(&Command)) {
    let mut inner = command.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help").peekable();
    if inner.peek().is_none() {
        return then(command);
    }
    inner.for_each(|command| each_leaf(command, then));
}

fn describe(command: &Command, page: &mut Roff) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    page.control("SS", [name]);
    if let Some(about) = command.get_long_about().or_else(|| command.get_about()) {
        // A short one ends without a full stop, a long one may have its own.
        page.text([roman(format!("{}.", about.to_string().trim_end_matches('.')))]);
    }
    let hidden = |arg: &&Arg| !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str());
    for arg in command.get_arguments().filter(hidden) {
        let mut spelled: Vec<Inline> = Vec::new();
        let mut names = String::new();
        if let Some(short) = arg.get_short() {
            let _ = write!(names, "-{short}");
        }
        if let Some(long) = arg.get_long() {
            let _ = write!(names, "{}--{long}", if names.is_empty() { "" } else { ", " });
        }
        if !names.is_empty() {
            spelled.push(bold(names));
        }
        if arg.get_action().takes_values() {
            for value in arg.get_value_names().unwrap_or_default() {
                spelled.extend([roman(if spelled.is_empty() { "" } else { " " }), italic(value.as_str())]);
            }
        }
        page.control("TP", []).text(spelled);
        page.text([roman(arg.get_help().map(ToString::to_string).unwrap_or_default())]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packaged_page_is_this_one() {
        let packaged = include_str!("../../packaging/keystead.1");
        let page = page().unwrap();
        assert_eq!(page.trim_end(), packaged.trim_end(), "run: keystead man > packaging/keystead.1");
    }

    #[test]
    fn every_command_is_on_it() {
        let page = page().unwrap();
        for name in ["keystead serve", "keystead user set-password", "keystead config example", "\\-\\-data\\-dir"] {
            assert!(page.contains(name), "{name} is not in {page}");
        }
        assert!(!page.contains("keystead help"));
    }
}
