//! Single values: text to durations, sizes, names and programs.
//!
//! Nothing here knows where a text came from: the config file and the flags share these functions,
//! and with them the words for what is wrong.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// A time that nobody waits for: 365 days, the most for every duration.
pub(super) const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DurationMistake {
    /// Nothing but white space.
    Empty,
    /// It begins with a minus.
    Negative,
    /// A number without a unit.
    NoUnit,
    /// A unit that there is not.
    UnknownUnit(String),
    /// `M`, which is a month to some and a minute to others.
    Month,
    /// Too large or too small for any use.
    Overflow,
    /// Anything else.
    Form,
}

impl DurationMistake {
    /// About the place.
    pub(super) fn label(&self) -> String {
        match self {
            DurationMistake::Empty => "empty".into(),
            DurationMistake::Negative => "time does not run backwards".into(),
            DurationMistake::NoUnit => "the unit is missing".into(),
            DurationMistake::UnknownUnit(unit) => format!("unknown unit `{unit}`"),
            DurationMistake::Month => "is `M` a minute or a month?".into(),
            DurationMistake::Overflow => "too large, or too small".into(),
            DurationMistake::Form => "not a number with a unit".into(),
        }
    }

    /// What to write instead.
    pub(super) fn remedy(&self) -> String {
        let forms = "a duration is a number and a unit, such as \"90s\", \"15m\" or \"1h30m\"";
        match self {
            DurationMistake::Month => "minutes are `m`, days are `d`".into(),
            DurationMistake::UnknownUnit(_) => {
                format!("{forms}; the units are ms, s, m, h, d and w")
            }
            DurationMistake::Empty
            | DurationMistake::Negative
            | DurationMistake::NoUnit
            | DurationMistake::Overflow
            | DurationMistake::Form => forms.into(),
        }
    }
}

/// A duration: `90s`, `15m`, `1h30m`.
pub(super) fn duration(text: &str) -> Result<Duration, DurationMistake> {
    use humantime::DurationError as Error;
    let text = text.trim();
    if text.starts_with('-') {
        return Err(DurationMistake::Negative);
    }
    // To humantime `M` is a month, and whoever writes `15M` means minutes.
    let is_month = |letters: &str| letters == "M";
    if text.split(|letter: char| !letter.is_alphabetic()).any(is_month) {
        return Err(DurationMistake::Month);
    }
    humantime::parse_duration(text).map_err(|error| match error {
        Error::Empty => DurationMistake::Empty,
        Error::UnknownUnit { unit, .. } if unit.is_empty() => DurationMistake::NoUnit,
        Error::UnknownUnit { unit, .. } => DurationMistake::UnknownUnit(unit),
        Error::NumberOverflow => DurationMistake::Overflow,
        Error::InvalidCharacter(_) | Error::NumberExpected(_) => DurationMistake::Form,
    })
}

/// A size in bytes: `16KiB`, `64MiB`; `None` if it is not one.
pub(super) fn size(text: &str) -> Option<u64> {
    text.trim().parse::<bytesize::ByteSize>().ok().map(|size| size.as_u64())
}

/// A SHA-256 sum: 64 hexadecimal digits; `None` if it is not one.
pub(super) fn sha256(text: &str) -> Option<[u8; 32]> {
    let mut sum = [0; 32];
    let digits = text.as_bytes();
    if digits.len() != 2 * sum.len() {
        return None;
    }
    for (byte, pair) in sum.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
    }
    Some(sum)
}

/// Whether it can be the name of a service or a plugin: these become file names and log fields.
pub(super) fn is_good_name(name: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=64).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(letters)
}

/// Why a text is not a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgramMistake {
    /// Nothing at all.
    Empty,
    /// A NUL, which ends every path.
    Nul,
    /// `~`, which only a shell knows.
    Tilde,
}

impl ProgramMistake {
    /// What is wrong.
    pub(super) fn what(&self) -> &'static str {
        match self {
            ProgramMistake::Empty => "it is empty",
            ProgramMistake::Nul => "there is a NUL in it",
            ProgramMistake::Tilde => "only a shell knows what `~` is",
        }
    }

    /// What to write instead of `text`.
    pub(super) fn remedy(&self, text: &str) -> Option<String> {
        match self {
            ProgramMistake::Empty => Some("write a path, such as \"./start.sh\"".into()),
            ProgramMistake::Nul => None,
            ProgramMistake::Tilde => Some(format!(
                "write the whole path, such as \"/home/me{}\"",
                text.trim_start_matches('~')
            )),
        }
    }
}

/// The folder that relative paths in a config belong to.
#[derive(Clone, Debug)]
pub(super) struct Folder(String);

impl Folder {
    /// `folder` as an absolute path; the error says what is the matter with it.
    pub(super) fn new(folder: &Path) -> Result<Folder, String> {
        // `absolute` refuses the empty path, which is the folder of `dormouse.toml`.
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let absolute = std::path::absolute(folder)
            .map_err(|error| format!("the working directory is gone ({error})"))?;
        match absolute.to_str() {
            Some(text) => Ok(Folder(text.to_owned())),
            None => Err(format!("the path {} is not UTF-8", absolute.display())),
        }
    }

    /// A program: a path with a slash becomes absolute, a name is left to `PATH`.
    pub(super) fn program(&self, text: &str) -> Result<String, ProgramMistake> {
        argument(text)?;
        if text.trim().is_empty() {
            Err(ProgramMistake::Empty)
        } else if text.starts_with("~/") {
            Err(ProgramMistake::Tilde)
        } else if text.contains('/') {
            Ok(self.path(text).to_string_lossy().into_owned())
        } else {
            Ok(text.into())
        }
    }

    /// A path, made absolute, without `.` between its parts (`..` stays: it may lead through a
    /// symlink).
    pub(super) fn path(&self, text: &str) -> PathBuf {
        Path::new(&self.0).join(text).components().collect()
    }
}

/// An argument of a program.
pub(super) fn argument(text: &str) -> Result<&str, ProgramMistake> {
    if text.contains('\0') { Err(ProgramMistake::Nul) } else { Ok(text) }
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
    }

    #[test]
    fn what_is_not_a_duration_is_told_apart() {
        assert_eq!(duration(" "), Err(DurationMistake::Empty));
        assert_eq!(duration("30"), Err(DurationMistake::NoUnit));
        assert_eq!(duration("-5m"), Err(DurationMistake::Negative));
        assert_eq!(duration("5 bananas"), Err(DurationMistake::UnknownUnit("bananas".into())));
        assert_eq!(duration("bananas"), Err(DurationMistake::Form));
        assert_eq!(duration("99999999999999999999s"), Err(DurationMistake::Overflow));
    }

    #[test]
    fn a_capital_m_is_neither_a_minute_nor_a_month() {
        assert_eq!(duration("15M"), Err(DurationMistake::Month));
        assert_eq!(duration("1h 5 M"), Err(DurationMistake::Month));
        assert_eq!(duration("2Min"), Err(DurationMistake::UnknownUnit("Min".into())));
    }

    #[test]
    fn sizes_are_numbers_with_units() {
        assert_eq!(size("64MiB"), Some(64 << 20));
        assert_eq!(size("16 KiB"), Some(16 << 10));
        assert_eq!(size("1000"), Some(1000));
        assert_eq!(size("many"), None);
        assert_eq!(size("-1"), None);
        assert_eq!(size(""), None);
    }

    #[test]
    fn sums_are_64_hexadecimal_digits() {
        let mut expected = [0xab; 32];
        expected[31] = 0x01;
        let good = format!("{}01", "aB".repeat(31));
        assert_eq!(sha256(&good), Some(expected));
        for bad in ["", "ab", &"g".repeat(64), &"a".repeat(63), &"a".repeat(65), &"é".repeat(32)] {
            assert_eq!(sha256(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_are_fit_for_a_file_and_a_log() {
        assert!(is_good_name("mc-1.eu_west"));
        for bad in ["", ".hidden", "a b", "a/b", "ä", &"x".repeat(65)] {
            assert!(!is_good_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn programs_with_a_slash_belong_to_the_folder() {
        let folder = Folder::new(Path::new("/srv/game")).unwrap();
        assert_eq!(folder.program("./start.sh"), Ok("/srv/game/start.sh".into()));
        assert_eq!(folder.program("bin/start"), Ok("/srv/game/bin/start".into()));
        assert_eq!(folder.program("../start"), Ok("/srv/game/../start".into()));
        assert_eq!(folder.program("/bin/true"), Ok("/bin/true".into()));
        assert_eq!(folder.program("true"), Ok("true".into()));
        assert_eq!(folder.program(""), Err(ProgramMistake::Empty));
        assert_eq!(folder.program("~/start.sh"), Err(ProgramMistake::Tilde));
        assert_eq!(folder.program("a\0b"), Err(ProgramMistake::Nul));
    }
}
