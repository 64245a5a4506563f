//! `docs/performance.md`: the report stands between two marks, and nothing else is touched.

use crate::cargo::root;
use crate::files;

const BEGIN: &str = "<!-- cargo xtask bench: begin -->";
const END: &str = "<!-- cargo xtask bench: end -->";

/// Puts the report in the place of the last one.
pub fn insert(report: &str) -> Result<(), String> {
    let path = root().join("docs/performance.md");
    let text = String::from_utf8_lossy(&files::read(&path)?).into_owned();
    let replaced = replace(&text, report).ok_or_else(|| {
        format!("{} has no place for the report: the lines `{BEGIN}` and `{END}`", path.display())
    })?;
    files::write(&path, replaced.as_bytes())?;
    super::say(&format!("wrote {}", path.display()));
    Ok(())
}

fn replace(text: &str, report: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{report}\n\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_replaces_the_last_one_and_nothing_else() {
        let text = format!("# Title\n\n{BEGIN}\nold\n{END}\n\nmore\n");
        let first = replace(&text, "new").unwrap();
        assert_eq!(first, format!("# Title\n\n{BEGIN}\n\nnew\n\n{END}\n\nmore\n"));
        assert_eq!(replace(&first, "new").unwrap(), first);
    }

    #[test]
    fn a_document_without_the_marks_is_left_alone() {
        assert_eq!(replace("# Title\n", "new"), None);
        assert_eq!(replace(&format!("{END}{BEGIN}"), "new"), None);
    }

    #[test]
    fn the_document_has_the_marks() {
        let text = files::read(&root().join("docs/performance.md")).unwrap();
        assert!(replace(&String::from_utf8_lossy(&text), "").is_some());
    }
}
