//! Rust source, read as far as a rule about it needs: its words and marks, without comments and
//! texts, and which modules it names.

use std::fs;
use std::path::{Path, PathBuf};

/// A word (a name, a keyword, a number) or one punctuation character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    /// Counted from 1.
    pub(crate) line: usize,
}

/// A source file of the package.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// The path below `src/`.
    pub(crate) path: String,
    pub(crate) tokens: Vec<Token>,
    /// How many lines it has.
    pub(crate) lines: usize,
}

impl Source {
    /// The text of a file at `path` below `src/`.
    pub(crate) fn new(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), tokens: tokens(text), lines: text.lines().count() }
    }

    /// All files below `src/`, in the order of their paths.
    pub(crate) fn all() -> Vec<Source> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut paths = Vec::new();
        collect(&root, &mut paths);
        paths.sort();
        paths
            .iter()
            .map(|path| {
                let text = fs::read_to_string(path).expect("a source file");
                let path = path.strip_prefix(&root).expect("a file below src");
                Source::new(path.to_str().expect("a UTF-8 path"), &text)
            })
            .collect()
    }

    /// The top-level module that it belongs to; empty for the roots, `lib.rs` and `main.rs`.
    pub(crate) fn module(&self) -> &str {
        match self.path.split_once('/') {
            Some((folder, _)) => folder,
            None => self.path.strip_suffix(".rs").filter(|file| !is_root(file)).unwrap_or(""),
        }
    }

    /// Whether the whole file is compiled for tests alone.
    pub(crate) fn is_test(&self) -> bool {
        self.path.split('/').any(|part| part == "tests" || part == "tests.rs")
    }

    /// The same without what is compiled for tests alone, and how many lines that leaves.
    pub(crate) fn without_tests(&self) -> (Vec<Token>, usize) {
        if self.is_test() {
            return (Vec::new(), 0);
        }
        let (mut kept, mut dropped) = (Vec::new(), 0);
        let mut rest = self.tokens.as_slice();
        while let Some((first, others)) = rest.split_first() {
            if words(rest, &["#", "[", "cfg", "(", "test", ")", "]"]) {
                let end = end_of_item(rest);
                let last = rest[..end].last().map_or(first.line, |token| token.line);
                dropped += last + 1 - first.line;
                rest = &rest[end..];
            } else {
                kept.push(first.clone());
                rest = others;
            }
        }
        (kept, self.lines - dropped)
    }

    /// The other top-level modules of the crate that it names, each with the line.
    pub(crate) fn knows(&self) -> Vec<(String, usize)> {
        let mut known = Vec::new();
        // How many modules this place is below the crate's root, and the braces of inline modules.
        let mut depth = self.depth();
        let (mut braces, mut inline) = (0_usize, Vec::new());
        let tokens = self.tokens.as_slice();
        for (index, token) in tokens.iter().enumerate() {
            let rest = &tokens[index..];
            match token.text.as_str() {
                "{" => {
                    let opens_module = index >= 2 && tokens[index - 2].text == "mod";
                    if opens_module {
                        inline.push(braces);
                        depth += 1;
                    }
                    braces += 1;
                }
                "}" => {
                    braces = braces.saturating_sub(1);
                    if inline.last() == Some(&braces) {
                        inline.pop();
                        depth -= 1;
                    }
                }
                "crate" if index == 0 || tokens[index - 1].text != ":" => {
                    known.extend(names_after(&rest[1..]));
                }
                "super" if index == 0 || tokens[index - 1].text != ":" => {
                    let step = ["super", ":", ":"];
                    let supers = rest.chunks(3).take_while(|chunk| words(chunk, &step)).count();
                    if supers >= depth {
                        // The names begin behind the last `super`.
                        known.extend(names_after(&rest[3 * supers - 2..]));
                    }
                }
                _ => {}
            }
        }
        known.retain(|(name, _)| name != self.module());
        known
    }

    /// How many modules this file is below the crate's root.
    fn depth(&self) -> usize {
        let path = self.path.strip_suffix(".rs").unwrap_or(&self.path);
        let path = path.strip_suffix("/mod").unwrap_or(path);
        if is_root(path) { 0 } else { path.split('/').count() }
    }
}

fn is_root(file: &str) -> bool {
    file == "lib" || file == "main"
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// Whether the tokens begin with these.
fn words(tokens: &[Token], expected: &[&str]) -> bool {
    tokens.len() >= expected.len()
        && tokens.iter().zip(expected).all(|(token, expected)| token.text == *expected)
}

/// How many tokens the item has that begins here, attributes included.
fn end_of_item(tokens: &[Token]) -> usize {
    let (mut open, mut body) = (0_usize, false);
    for (index, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "(" | "[" => open += 1,
            "{" => {
                body |= open == 0;
                open += 1;
            }
            ")" | "]" | "}" => {
                open = open.saturating_sub(1);
                if open == 0 && body {
                    return index + 1;
                }
            }
            ";" if open == 0 => return index + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// The names that a path goes on with: `::name`, or `::{name, name}`.
fn names_after(tokens: &[Token]) -> Vec<(String, usize)> {
    let Some(rest) = tokens.get(2..).filter(|_| words(tokens, &[":", ":"])) else {
        return Vec::new();
    };
    let name = |token: &Token| (token.text.clone(), token.line);
    if !words(rest, &["{"]) {
        return rest.first().map(name).into_iter().collect();
    }
    let mut names = Vec::new();
    let mut open = 0_usize;
    let mut begins = false;
    for token in rest {
        match token.text.as_str() {
            "{" => {
                open += 1;
                begins = open == 1;
            }
            "}" if open == 1 => break,
            "}" => open -= 1,
            "," => begins = open == 1,
            _ if begins => {
                names.push(name(token));
                begins = false;
            }
            _ => {}
        }
    }
    names
}

/// The words and marks of a source text.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let length = skipped(rest);
        if length == 0 {
            let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
            let length = match rest.find(|letter| !is_word(letter)) {
                Some(0) => first.len_utf8(),
                Some(end) => end,
                None => rest.len(),
            };
            tokens.push(Token { text: rest[..length].to_owned(), line });
            rest = &rest[length..];
        } else {
            line += rest[..length].matches('\n').count();
            rest = &rest[length..];
        }
    }
    tokens
}

/// How many bytes of white space, comment, text or character begin here; 0 if something else does.
fn skipped(rest: &str) -> usize {
    let first = rest.chars().next().unwrap_or_default();
    if first.is_whitespace() {
        return first.len_utf8();
    }
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment(rest);
    }
    let prefix = ["br", "cr", "r", "b", "c", ""].into_iter().find(|prefix| {
        let hashes = rest.strip_prefix(prefix).map(|rest| rest.trim_start_matches('#'));
        let is_raw = prefix.ends_with('r');
        hashes.is_some_and(|after| after.starts_with('"'))
            && (is_raw || rest[prefix.len()..].starts_with('"'))
    });
    if let Some(prefix) = prefix {
        let body = &rest[prefix.len()..];
        let length = if prefix.ends_with('r') { raw_text(body) } else { quoted(body, '"') };
        return prefix.len() + length;
    }
    let prefix = usize::from(rest.starts_with("b'"));
    let body = &rest[prefix..];
    if body.starts_with('\'') && is_character(body) {
        return prefix + quoted(body, '\'');
    }
    0
}

fn block_comment(rest: &str) -> usize {
    let mut open = 0;
    let mut at = 0;
    while at < rest.len() {
        let here = &rest[at..];
        let step = if here.starts_with("/*") {
            open += 1;
            2
        } else if here.starts_with("*/") {
            open -= 1;
            2
        } else {
            here.chars().next().map_or(1, char::len_utf8)
        };
        at += step;
        if open == 0 {
            break;
        }
    }
    at
}

/// `#"…"#`, with as many marks as there are.
fn raw_text(body: &str) -> usize {
    let hashes = body.len() - body.trim_start_matches('#').len();
    let end = format!("\"{}", "#".repeat(hashes));
    let start = hashes + 1;
    body[start..].find(&end).map_or(body.len(), |at| start + at + end.len())
}

/// `"…"` or `'…'`, with escapes.
fn quoted(body: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in body.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if letter == quote => return at + 1,
            _ => {}
        }
    }
    body.len()
}

/// Whether `'` begins a character, and not a lifetime.
fn is_character(body: &str) -> bool {
    let mut letters = body.chars().skip(1);
    match letters.next() {
        Some('\\') => true,
        Some(_) => letters.next() == Some('\''),
        None => false,
    }
}
