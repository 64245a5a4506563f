//! Dormouse as the first process of a container, which has to reap what hooks leave behind.

use crate::support::process::{children_of, zombies_of};
use crate::support::proxy::Scene;

#[test]
fn what_hooks_leave_behind_is_reaped_by_the_first_process_of_a_container() {
    // Forty processes end while hooks are waited for, and the server after that.
    let orphans = "i=0; while [ $i -lt 40 ]; do (sleep 0.0$i &); i=$((i + 1)); done";
    let gone = "pid=$(cat web.pid); kill $pid; i=0; while kill -0 $pid; do
        i=$((i + 1)); [ $i -lt 1000 ] || exit 1; sleep 0.01; done; echo gone >> ends";
    let scene = Scene::new()
        .set("cooldown", "100ms")
        .hook("start", &format!("{orphans}; launch"))
        .hook("stop", &format!("{orphans}; {gone}"));
    let Some(dormouse) = scene.run_as_first_process() else { return };
    for round in 1..=3 {
        scene.client().ask("hello");
        scene.until("the server is gone", || scene.read("ends").lines().count() == round);
    }
    let [first] = children_of(dormouse.pid())[..] else { panic!("it has one child") };
    scene.until("no zombies", || zombies_of(first).is_empty());
    let log = dormouse.log().join("\n");
    assert!(!log.contains("failed"), "a hook's status was lost:\n{log}");
}
