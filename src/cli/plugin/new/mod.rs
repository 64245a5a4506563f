//! `dormouse plugin new NAME --lang LANG`: a folder with a plugin that builds and passes its test as
//! it stands.

mod templates;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{print, wit};
use crate::cli::{Complaint, Failure};
use crate::text::printable;

pub(super) use templates::Language;

/// The longest name. It becomes the name of files and of a crate.
const LONGEST_NAME: usize = 40;

/// Writes the folder, and says how to go on.
pub(super) fn execute(
    name: &str,
    language: Language,
    folder: Option<&Path>,
) -> Result<(), Failure> {
    check(name, language)?;
    let folder = folder.unwrap_or(Path::new(name));
    match fs::create_dir(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(Complaint::new(format!("`{}` is there already", shown(folder)))
                .remedy("take another name, or another folder with `--dir`")
                .into());
        }
        Err(error) => return Err(cannot_write(folder, &error)),
    }
    for (path, content) in files(name, language) {
        let file = folder.join(path);
        let parent = file.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&file, content))
            .map_err(|error| cannot_write(&file, &error))?;
    }
    print(&format!(
        "{folder} has a plugin in {language}: a gate that opens at the second knock.\n\n\
         README.md has the commands that get the tools and build it; then\n\n  \
         cd {folder}\n  \
         dormouse plugin try build/{name}.wasm --script test.toml\n\n\
         passes. Begin with {source}.\n",
        folder = shown(folder),
        language = language.name(),
        source = renamed(language.source(), name, language),
    ))
}

/// A name is good for files, crates and packages: kebab-case.
fn check(name: &str, language: Language) -> Result<(), Failure> {
    let is_word = |word: &str| {
        !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let begins_well = name.starts_with(|letter: char| letter.is_ascii_lowercase());
    if name.len() > LONGEST_NAME || !begins_well || !name.split('-').all(is_word) {
        let what = format!("`{}` can't be the name of a plugin", printable(name));
        let remedy = format!(
            "a name has small letters a-z, digits, and `-` between words, such as `door-keeper`: at \
             most {LONGEST_NAME} of them, a letter first"
        );
        return Err(Complaint::new(what).remedy(remedy).into());
    }
    if language.takes(name) {
        let what = format!("`{name}` can't be its name: a library that it uses has it");
        return Err(Complaint::new(what).remedy("take another name").into());
    }
    Ok(())
}

/// The files of a plugin: paths in its folder, and contents.
fn files(name: &str, language: Language) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for (path, content) in language.files().chain(templates::SHARED) {
        let content = match std::str::from_utf8(content) {
            Ok(text) => renamed(text, name, language).into_bytes(),
            Err(_) => content.to_vec(),
        };
        files.push((PathBuf::from(renamed(path, name, language)), content));
    }
    let package = Path::new("wit/deps").join(wit::FOLDER);
    files.extend(wit::FILES.map(|(file, text)| (package.join(file), text.as_bytes().to_vec())));
    files
}

/// `text` with the name of the plugin in place of the example's.
fn renamed(text: &str, name: &str, language: Language) -> String {
    /// Stands for the component, so that no name is put into another.
    const COMPONENT: &str = "\0.wasm";
    let type_name: String = name.split('-').map(capitalized).collect();
    text.replace("porter.wasm", COMPONENT)
        .replace("porter", &language.source_name(name))
        .replace("Porter", &type_name)
        .replace(COMPONENT, &format!("{name}.wasm"))
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

fn cannot_write(place: &Path, error: &io::Error) -> Failure {
    Complaint::new(format!("`{}` can't be written: {error}", shown(place)))
        .remedy("name a folder that you may write to with `--dir`")
        .into()
}

fn shown(path: &Path) -> String {
    printable(&path.display().to_string()).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use super::*;

    fn is_good(name: &str) -> bool {
        check(name, Language::Rust).is_ok()
    }

    #[test]
    fn names_are_kebab_case() {
        for good in ["porter", "door-keeper", "a1-2b", &"x".repeat(LONGEST_NAME)] {
            assert!(is_good(good), "{good}");
        }
        let long = "x".repeat(LONGEST_NAME + 1);
        let bad = [
            "",
            "-",
            "a-",
            "-a",
            "a--b",
            "1a",
            "Door",
            "door_keeper",
            "../x",
            "a/b",
            "a b",
            "ä",
            "a.b",
            "x\n",
            &long,
        ];
        for bad in bad {
            assert!(!is_good(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_crate_does_not_get_the_name_of_one_that_it_uses() {
        assert!(!is_good("wit-bindgen") && !is_good("serde"));
        assert!(check("serde", Language::C).is_ok());
    }

    #[test]
    fn a_module_of_python_is_never_one_that_python_has() {
        assert_eq!(Language::Python.source_name("json"), "json_plugin");
        assert_eq!(Language::Python.source_name("door-keeper"), "door_keeper_plugin");
    }

    #[test]
    fn the_component_has_the_name_as_it_is() {
        let text = "porter.py porter build/porter.wasm struct Porter";
        let renamed = renamed(text, "door-keeper", Language::Python);
        let expected = "door_keeper_plugin.py door_keeper_plugin build/door-keeper.wasm \
                        struct DoorKeeper";
        assert_eq!(renamed, expected);
    }
}
