//! Scripts that are wrong: each fault is told with its place, and all of them at once.

use super::*;

fn faults(script: &str) -> String {
    let folder = folder_with(&greeter());
    folder.write("s.toml", script);
    plugin(&folder, &["try", "p.wasm", "--script", "s.toml"])
}

#[test]
fn a_script_without_steps_is_told() {
    insta::assert_snapshot!(faults("settings = {}\n"), @r#"
exit status: 1
----- stdout -----
----- stderr -----
error: s.toml: this script has no steps
  = help: a step looks like this:
          [[step]]
          call = "start"
          expect = { answer = "done" }
"#);
}

#[test]
fn faults_of_a_script_are_told_all_at_once() {
    let told = faults(
        r#"
allow = { exce = [] }
limits = { cpu = "5" }
service = "../x"
target = "nowhere"
stepp = 1

[[process]]
arguments = "start"
status = 300

[[process]]
program = "a"
status = 1
signal = 9

[[step]]
call = "should-woke"

[[step]]
call = "ready"
send = "x"
expect = { answer = "wake", consumed = 1 }

[[step]]
call = "should-wake"
client = "somewhere"
send = "a"
send_hex = "61"
wait = "2h"

[[step]]
call = "should-wake"
send_hex = "6 1 x"
phase = "awake"

[[step]]
expect = { answer = "done" }
"#,
    );
    insta::assert_snapshot!(told, @r#"
exit status: 1
----- stdout -----
----- stderr -----
error: unknown key `exce` in `allow`
 --> s.toml:2:11
  |
2 | allow = { exce = [] }
  |           ^^^^ did you mean `exec`?

error: `cpu` is not a duration: `5`
 --> s.toml:3:18
  |
3 | limits = { cpu = "5" }
  |                  ^^^ the unit is missing
  |
  = help: a duration is a number and a unit, such as "90s", "15m" or "1h30m"

error: `../x` can't be the name of a service
 --> s.toml:4:11
  |
4 | service = "../x"
  |           ^^^^^^
  |
  = help: a name has 1 to 64 letters a-z, digits, `-`, `_` and `.`, and does not begin with `.`

error: `target` can't be `nowhere`: the port is missing
 --> s.toml:5:10
  |
5 | target = "nowhere"
  |          ^^^^^^^^^
  |
  = help: add the port, for example "nowhere:8080"

error: unknown key `stepp`
 --> s.toml:6:1
  |
6 | stepp = 1
  | ^^^^^ did you mean `step`?

error: `process 1` has no `program`
 --> s.toml:8:1
  |
8 | [[process]]
  | ^^^^^^^^^^^ `program` is missing
  |
  = help: add it, for example `program = "docker"`

error: `status` must be from 0 to 255
  --> s.toml:10:10
   |
10 | status = 300
   |          ^^^

error: `process 2` has both `status` and `signal`
  --> s.toml:15:10
   |
15 | signal = 9
   |          ^
   |
   = help: keep one of them: delete `status` or `signal`

error: `call` can't be `should-woke`
  --> s.toml:18:8
   |
18 | call = "should-woke"
   |        ^^^^^^^^^^^^^ did you mean `should-wake`?
   |
   = help: it is one of "start", "stop", "ready", "should-wake" and "should-sleep"

error: unknown key `send` in `step 2`
  --> s.toml:22:1
   |
22 | send = "x"
   | ^^^^ not a key of this table
   |
   = help: the keys here are wait, call, attempt and expect

error: `answer` can't be `wake`
  --> s.toml:23:21
   |
23 | expect = { answer = "wake", consumed = 1 }
   |                     ^^^^^^
   |
   = help: it is one of "ready" and "not-yet"

error: unknown key `consumed` in `expect of ready`
  --> s.toml:23:29
   |
23 | expect = { answer = "wake", consumed = 1 }
   |                             ^^^^^^^^ not a key of this table
   |
   = help: the keys here are answer, address, progress, failure, kind, log and denied

error: `client` can't be `somewhere`: the port is missing
  --> s.toml:27:10
   |
27 | client = "somewhere"
   |          ^^^^^^^^^^^
   |
   = help: add the port, for example "somewhere:8080"

error: `step 3` has both `send` and `send_hex`
  --> s.toml:29:12
   |
29 | send_hex = "61"
   |            ^^^^
   |
   = help: keep one of them: delete `send` or `send_hex`

error: `wait` must be at most 1m
  --> s.toml:30:8
   |
30 | wait = "2h"
   |        ^^^^

error: `send_hex` is not in hexadecimal digits: `6 1 x`
  --> s.toml:34:12
   |
34 | send_hex = "6 1 x"
   |            ^^^^^^^
   |
   = help: two digits make a byte, with spaces between them as you like: "fe 01"

error: `phase` can't be `awake`
  --> s.toml:35:9
   |
35 | phase = "awake"
   |         ^^^^^^^
   |
   = help: it is one of "asleep", "starting" and "stopping"

error: `step 5` has no `call`
  --> s.toml:37:1
   |
37 | [[step]]
   | ^^^^^^^^ `call` is missing
   |
   = help: add it, for example `call = "should-wake"`
"#);
}

#[test]
fn a_script_that_is_not_there_is_told() {
    let folder = folder_with(&greeter());
    insta::assert_snapshot!(plugin(&folder, &["try", "p.wasm", "--script", "s.toml"]), @"
exit status: 1
----- stdout -----
----- stderr -----
error: s.toml: there is no such script
  = help: check the path after `--script`
");
}
