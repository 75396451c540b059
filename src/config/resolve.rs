//! Raw to checked: the settings of a server, or of one project, out of the layers.

use super::keys::{Keys, Section};
use super::project_settings::ProjectSettings;
use super::reader::Reader;
use super::settings::Settings;

/// Reads everything. What is wrong is in `reader.problems` afterwards, unknown keys included.
pub(super) fn settings(reader: &mut Reader) -> Settings {
    let mut settings = Settings::default();
    settings.keys(&mut Keys::reading::<Settings>(reader, ""));
    reader.refuse_unknown("");
    settings
}

/// Reads `[project.SLUG]`, the rest of the layers unread.
pub(super) fn project(reader: &mut Reader, slug: &str) -> ProjectSettings {
    let section = format!("project.{slug}");
    let mut project = ProjectSettings::named(slug);
    project.keys(&mut Keys::reading::<ProjectSettings>(reader, &format!("{section}.")));
    reader.refuse_unknown(&section);
    project
}
