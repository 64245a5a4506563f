//! Plugins that want too much: memory of every kind, stack, large answers, and handles.

use crate::support::guest::Guest;
use crate::support::http::WASI_HTTP;

use super::places::{self, as_it_is};

const HUNGRY: &str =
    "the plugin `hostile` needs more memory in `FUNCTION` than the 16.0 MiB that it may have";
const CRASHED: &str = "the plugin `hostile` crashed in `FUNCTION`: ";
const HANDED: &str =
    "the plugin `hostile` handed over more than 1048576 bytes at once in `FUNCTION`";

/// Takes a page after another, and writes into each, so that it is there.
const MEMORY: &str = "(local $page i32)
    (loop $again
        (local.set $page (memory.grow (i32.const 1)))
        (memory.fill (i32.mul (local.get $page) (i32.const 65536)) (i32.const 1) (i32.const 65536))
        (br $again))
    (unreachable)";

#[test]
fn a_start_that_eats_memory_costs_its_own_call() {
    places::start(Guest::bare(), MEMORY, HUNGRY, as_it_is);
}

#[test]
fn a_gate_that_eats_memory_costs_its_own_call() {
    places::should_wake(Guest::bare(), MEMORY, HUNGRY, as_it_is);
}

#[test]
fn a_plugin_that_eats_a_table_costs_its_own_call() {
    let table = "(loop $again
        (drop (table.grow $eaten (ref.null func) (i32.const 65536))) (br $again))
        (unreachable)";
    let guest = Guest::bare().function("(table $eaten 0 funcref)");
    places::should_wake(guest, table, HUNGRY, as_it_is);
}

#[test]
fn a_plugin_that_eats_memory_of_the_garbage_collector_costs_its_own_call() {
    // A list that grows for ever: nothing of it is garbage.
    let list = "(local $list (ref null $node))
        (loop $again
            (local.set $list (struct.new $node (local.get $list)
                (array.new $bytes (i32.const 0) (i32.const 4096))))
            (br $again))
        (unreachable)";
    let guest = Guest::bare().function(
        "(type $bytes (array (mut i8)))
                   (rec (type $node (struct (field (ref null $node)) (field (ref $bytes)))))",
    );
    places::should_wake(guest, list, HUNGRY, as_it_is);
}

#[test]
fn a_plugin_of_many_empty_memories_costs_its_own_call() {
    let memories: String = (0..20).map(|number| format!("(memory $empty{number} 0)")).collect();
    let guest = Guest::bare().function(&memories);
    let failure = "the plugin `hostile` wanted more than 16 linear memories in `FUNCTION`";
    places::should_wake(guest, "(unreachable)", failure, as_it_is);
}

#[test]
fn a_plugin_of_many_tables_costs_its_own_call() {
    let tables: String =
        (0..20).map(|number| format!("(table $empty{number} 0 funcref)")).collect();
    let guest = Guest::bare().function(&tables);
    let failure =
        "the plugin `hostile` wanted more tables in `FUNCTION` than one component may have";
    places::should_wake(guest, "(unreachable)", failure, |ordeal| ordeal.limit("tables", 10));
}

#[test]
fn a_recursion_without_end_costs_its_own_call() {
    let body = "(drop (call $recurse (i32.const 0))) (call $done)";
    let failure = format!("{CRASHED}its recursion went deeper than its stack");
    places::start(Guest::bare(), body, &failure, as_it_is);
    places::should_wake(Guest::bare(), body, &failure, as_it_is);
}

#[test]
fn a_reply_of_one_gibibyte_is_refused_without_being_copied() {
    // The operator gives it the memory, and none of it is ever written to.
    let reply = "(drop (memory.grow (i32.const 16384)))
        (call $reply (i32.const 0) (i32.const 1073741824) (i32.const 0) (i32.const 0))";
    places::should_wake(Guest::bare(), reply, HANDED, |ordeal| ordeal.limit("memory", "2GiB"));
}

#[test]
fn a_plugin_that_takes_10_000_handles_costs_its_own_call() {
    let handles = "(local $left i32)
        (local.set $left (i32.const 10000))
        (loop $again
            (drop (call $stderr))
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if $again (local.get $left)))
        (call $done)";
    let guest =
        Guest::bare().import("wasi:cli/stderr@0.2.0", "get-stderr", "stderr", "(result i32)");
    let failure = "the plugin `hostile` wanted more than 256 sockets, files and streams at once";
    places::should_wake(guest, handles, failure, as_it_is);
}

/// Prepares 200 requests, fewer than it may hold, and does this with each. None is sent, and nothing is
/// granted. [`LONG`] is a text of almost 1 MiB.
fn prepares_requests(set: &str) -> (Guest, String) {
    let types = "wasi:http/types@0.2.0";
    let guest = Guest::bare()
        .knowing(WASI_HTTP)
        .import(types, "[constructor]fields", "fields", "(result i32)")
        .import(types, "[constructor]outgoing-request", "request", "(param i32) (result i32)")
        .import(
            types,
            "[method]outgoing-request.set-method",
            "method",
            "(param i32 i32 i32 i32) (result i32)",
        )
        .import(
            types,
            "[method]outgoing-request.set-authority",
            "authority",
            "(param i32 i32 i32 i32) (result i32)",
        );
    let body = format!(
        "(local $left i32)
         (drop (memory.grow (i32.const 16)))
         (memory.fill (i32.const 524288) (i32.const 97) (i32.const 1044480))
         (local.set $left (i32.const 200))
         (loop $again
            {set}
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if $again (local.get $left)))
         (unreachable)"
    );
    (guest, body)
}

const LONG: &str = "(i32.const 524288) (i32.const 1044480)";

#[test]
fn requests_with_endless_methods_are_not_kept_in_our_memory() {
    let (guest, body) = prepares_requests(&format!(
        "(drop (call $method (call $request (call $fields)) (i32.const 9) {LONG}))"
    ));
    let failure = format!("{CRASHED}it gave up with a panic or an abort");
    places::should_wake(guest, &body, &failure, |ordeal| ordeal.limit("cpu", "1m"));
}

#[test]
fn requests_with_endless_authorities_are_not_kept_in_our_memory() {
    let (guest, body) = prepares_requests(&format!(
        "(drop (call $authority (call $request (call $fields)) (i32.const 1) {LONG}))"
    ));
    let failure = format!("{CRASHED}it gave up with a panic or an abort");
    places::should_wake(guest, &body, &failure, |ordeal| ordeal.limit("cpu", "1m"));
}

#[test]
fn a_plugin_that_makes_tasks_to_wait_for_without_end_costs_its_own_call() {
    let sets = "(loop $again (drop (call $set)) (br $again)) (unreachable)";
    let guest = Guest::bare().intrinsic("$root", "[waitable-set-new]", "set", "(result i32)");
    places::should_wake(guest, sets, CRASHED, as_it_is);
}
