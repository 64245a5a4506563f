//! The interface `state`.

use super::*;

/// `start` counts up a digit in the state, and tells it; `stop` sets a large value.
fn counter() -> Guest {
    let mut guest = Guest::bare();
    let key = guest.text("count");
    let fine = format!("(i32.eqz (i32.load8_u (i32.const {RETURNED})))");
    guest
        .lifecycle(
            &format!(
                "(local $count i32)
                 (call $state_get {key} (i32.const {RETURNED}))
                 (if (i32.eqz {fine}) (then (unreachable)))
                 (if (i32.load8_u (i32.const {some}))
                    (then (local.set $count
                        (i32.sub (i32.load8_u (i32.load (i32.const {value}))) (i32.const 48)))))
                 (local.set $count (i32.add (local.get $count) (i32.const 1)))
                 (call $state_set {key} (call $digit (local.get $count)) (i32.const 1)
                    (i32.const {RETURNED}))
                 (if (i32.eqz {fine}) (then (unreachable)))
                 (call $fail (i32.const 2) (call $digit (local.get $count)) (i32.const 1))",
                some = RETURNED + 4,
                value = RETURNED + 8,
            ),
            &format!(
                "(call $state_set {key} (i32.const 0) (i32.const 60000) (i32.const {RETURNED}))
                 (if (result i32) {fine} (then (call $done))
                    (else (call $fail (i32.const 2)
                        (call $digit (i32.load8_u (i32.const {})))
                        (i32.const 1))))",
                RETURNED + 4
            ),
        )
        .import("dormouse:plugin/state@0.1.0", "get", "state_get", "(param i32 i32 i32)")
        .import("dormouse:plugin/state@0.1.0", "set", "state_set", "(param i32 i32 i32 i32 i32)")
}

async fn count(deciders: &Deciders) -> String {
    start(deciders).await.unwrap_err().message
}

#[tokio::test]
async fn state_outlasts_calls_and_restarts() {
    let stage = Stage::new(&counter().build());
    let deciders = stage.deciders().await;
    assert_eq!(count(&deciders).await, "the plugin `p`: 1");
    assert_eq!(count(&deciders).await, "the plugin `p`: 2");
    assert_eq!(count(&stage.deciders().await).await, "the plugin `p`: 3");
}

#[tokio::test]
async fn state_is_apart_for_each_service_and_each_plugin() {
    let mut stage = Stage::new(&counter().build());
    let mut other = stage.config.services[0].clone();
    other.name = "../s".to_owned();
    stage.config.services.push(other);
    let mut plugin = stage.config.plugins[0].clone();
    plugin.name = "q".to_owned();
    stage.config.plugins.push(plugin);
    let host = stage.host();
    let deciders = |service: usize, plugin: usize| {
        let mut service = stage.config.services[service].clone();
        service.lifecycle = PluginId(plugin);
        let (host, config) = (&host, &stage.config);
        async move { host.deciders(config, &service).await.unwrap() }
    };
    for _ in 0..2 {
        count(&deciders(0, 0).await).await;
    }
    assert_eq!(count(&deciders(1, 0).await).await, "the plugin `p`: 1");
    assert_eq!(count(&deciders(0, 1).await).await, "the plugin `q`: 1");
    assert_eq!(count(&deciders(0, 0).await).await, "the plugin `p`: 3");
    let files =
        fs::read_dir(&stage.config.state_dir).unwrap().map(|file| file.unwrap().file_name());
    let files = files.filter(|name| name != "cache.key").count();
    assert_eq!(files, 3, "there are other files in the folder of the state");
}

#[tokio::test]
async fn state_beyond_its_limit_is_refused() {
    let mut stage = Stage::new(&counter().build());
    stage.plugin().limits.state = 1000;
    let deciders = stage.deciders().await;
    // `too-large` is the first case.
    assert_eq!(stop(&deciders).await.unwrap_err().message, "the plugin `p`: 0");
    assert_eq!(count(&deciders).await, "the plugin `p`: 1");
}

#[tokio::test]
async fn a_disk_that_refuses_is_told_to_plugin_and_operator() {
    let stage = Stage::new(&counter().build());
    fs::write(&stage.config.state_dir, "in the way").unwrap();
    let deciders = stage.deciders().await;
    let told = Told::listen();
    // `storage` is the second case.
    assert_eq!(stop(&deciders).await.unwrap_err().message, "the plugin `p`: 1");
    let errors = told.at(Level::ERROR);
    assert_eq!(errors.len(), 1);
    insta::assert_snapshot!(stage.without_paths(&errors[0]), @r#"the state in `[FOLDER]/state/plugin+p+s.state` can't be read: Not a directory (os error 20) plugin="p" service="s""#);
}
