//! Commands that stand in a README, so that what people read is what is run.

/// The commands of the section `## title`: all blocks marked `sh` until the next section.
pub fn commands(readme: &str, title: &str) -> Result<String, String> {
    let heading = format!("## {title}");
    let section = readme.lines().skip_while(|line| *line != heading).skip(1);
    let mut commands = String::new();
    let mut is_open = false;
    for line in section {
        match line {
            "```sh" => is_open = true,
            "```" => is_open = false,
            _ if is_open => {
                commands.push_str(line);
                commands.push('\n');
            }
            _ if line.starts_with("## ") => break,
            _ => {}
        }
    }
    if commands.is_empty() {
        return Err(format!("its README has no block of `sh` in the section `{heading}`"));
    }
    Ok(commands)
}

#[cfg(test)]
mod tests {
    use super::commands;

    const README: &str = "\
# A plugin

```sh
rm -rf /
```

## Tools

Words.

```sh
install one
```

and

```sh
install two
```

```toml
a = 1
```

## Build

```sh
# a comment
## another
make
```

## Words
";

    #[test]
    fn the_blocks_of_a_section_are_its_commands() {
        assert_eq!(commands(README, "Tools").unwrap(), "install one\ninstall two\n");
        assert_eq!(commands(README, "Build").unwrap(), "# a comment\n## another\nmake\n");
    }

    #[test]
    fn a_section_without_commands_or_that_is_missing_is_an_error() {
        for title in ["Words", "Missing"] {
            assert!(commands(README, title).unwrap_err().contains(title), "{title}");
        }
    }
}
