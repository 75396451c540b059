//! A folder of this process, for what is read from files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    // In memory where there is such a place: a sync then costs nothing.
    let memory = PathBuf::from("/dev/shm");
    let home = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let folder = home.join(format!("keystead-fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    folder
});

/// The folder, emptied of all that the last input left, with these files in it.
pub fn holding(files: &[(&str, &[u8])]) -> &'static Path {
    for entry in fs::read_dir(&*FOLDER).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.expect("removed");
    }
    for (name, bytes) in files {
        let path = FOLDER.join(name);
        fs::create_dir_all(path.parent().expect("the folder")).expect("a folder");
        fs::write(path, bytes).expect("written");
    }
    &FOLDER
}
