//! Fuzz target of `/proc/PID/stat`: the name of a process changes nothing else.

use super::Stat;

const REST: &str = "S 1 2 3 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2";

#[test]
fn process_stats() {
    bolero::check!(name = "process_stats").with_iterations(2000).for_each(|input: &[u8]| {
        let text = String::from_utf8_lossy(input);
        if let Some(stat) = Stat::parse(&text) {
            assert!([stat.parent, stat.group, stat.session].iter().all(|id| *id != Some(0)));
        }
        let found = Stat::parse(&format!("7 ({text}) {REST}")).expect("a line of the kernel");
        assert_eq!((found.state, found.started), ('S', 987_654), "{text:?}");
        assert_eq!((found.parent, found.group, found.session), (Some(1), Some(2), Some(3)));
    });
}
