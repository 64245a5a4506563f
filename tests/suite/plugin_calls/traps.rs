//! Guests that crash, and what is said about it.

use super::*;

#[tokio::test]
async fn a_trap_is_told_with_its_function() {
    insta::assert_snapshot!(broken(&failed_start(&starting("(unreachable)")).await), @"the plugin `p` crashed in `start`: it gave up with a panic or an abort. This is a fault of the plugin: report it to its author");
}

#[tokio::test]
async fn a_division_by_zero_and_a_wild_pointer_are_told_in_words() {
    let division = starting("(i32.div_u (i32.const 1) (i32.const 0))");
    let message = failed_start(&division).await.message;
    assert!(message.starts_with("the plugin `p` crashed in `start`: it divided by zero."));
    let pointer = starting("(i32.load (i32.const -8))");
    let message = failed_start(&pointer).await.message;
    let expected = "the plugin `p` crashed in `start`: it used memory that it does not have.";
    assert!(message.starts_with(expected), "{message}");
}

#[tokio::test]
async fn an_exit_is_told_with_its_status() {
    let guest = starting("(call $exit (i32.const 1)) (unreachable)").import(
        "wasi:cli/exit@0.2.0",
        "exit",
        "exit",
        "(param i32)",
    );
    insta::assert_snapshot!(broken(&failed_start(&guest).await), @"the plugin `p` ended itself with exit status 1 in `start` instead of answering. This is a fault of the plugin: report it to its author");
}

/// A guest that prints this to its standard error and traps.
fn panicking(words: &str) -> Guest {
    let mut guest = Guest::bare();
    let words = guest.text(words);
    guest
        .lifecycle(
            &format!("(call $print (call $stderr) {words} (i32.const {RETURNED})) (unreachable)"),
            "(call $done)",
        )
        .import("wasi:cli/stderr@0.2.0", "get-stderr", "stderr", "(result i32)")
        .import(
            "wasi:io/streams@0.2.0",
            "[method]output-stream.blocking-write-and-flush",
            "print",
            "(param i32 i32 i32 i32)",
        )
}

#[tokio::test]
async fn the_last_words_of_a_guest_that_panics_are_told() {
    let guest = panicking("thread main\npanicked at\u{7} 'no disk'");
    insta::assert_snapshot!(broken(&failed_start(&guest).await), @r#"
the plugin `p` crashed in `start`: it gave up with a panic or an abort. This is a fault of the plugin: report it to its author. The last lines on its standard error:
thread main
panicked at\u{7} 'no disk'
"#);
}

#[tokio::test]
async fn the_standard_error_of_a_guest_is_logged_line_by_line() {
    let told = Told::listen();
    failed_start(&panicking("one\ntwo \u{1b}[31m")).await;
    assert_eq!(
        told.at(Level::INFO),
        [r#"one plugin="p" service="s""#, r#"two \u{1b}[31m plugin="p" service="s""#]
    );
}

#[tokio::test]
async fn a_trap_in_one_call_is_none_in_the_next() {
    let guest = Guest::bare().lifecycle("(unreachable)", "(call $done)");
    let deciders = Stage::new(&guest.build()).deciders().await;
    for _ in 0..3 {
        assert_eq!(start(&deciders).await.unwrap_err().kind, FailureKind::Broken);
        assert_eq!(stop(&deciders).await, Ok(()));
    }
}
