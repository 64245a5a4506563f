//! Config files, good and bad: what they mean, and every message about what is wrong with them, as
//! a person sees it (stdout, stderr and exit status together).

#![allow(clippy::expect_used, reason = "a test that fails here should fail loudly")]

use std::path::Path;
use std::time::Duration;

use dormouse::config::{
    self, CompileLimits, Config, Decider, ExecGrant, FolderGrant, Listener, OnGateError,
    OnIdlenessError, PluginId, PluginSource, Reach, Severity, Target, Wakes,
};

use crate::support::command::Folder;

/// What `dormouse check` says to a config.
fn check(config: &str) -> String {
    Folder::with_config(config).dormouse(&["check"])
}

/// A service that is right, with one more line.
fn service_with(line: &str) -> String {
    format!(
        r#"[services.web]
listen = "0.0.0.0:8080"
target = "192.168.1.5:80"
hooks = {{ start = "true", stop = "true" }}
{line}
"#
    )
}

/// The config that a text means, which has no faults and no warnings.
fn meant(text: &str) -> (Folder, Config) {
    let folder = Folder::with_config(text);
    match config::read(&folder.path().join("dormouse.toml")) {
        Ok((config, warnings)) => {
            assert!(warnings.is_empty(), "{warnings}");
            (folder, config)
        }
        Err(faults) => panic!("{faults}"),
    }
}

macro_rules! snapshot {
    ($text:expr) => {
        insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!($text) })
    };
}

// The file as a whole.

#[test]
fn a_missing_file_is_told() {
    snapshot!(Folder::new().dormouse(&["check", "--config", "nowhere.toml"]));
}

#[test]
fn a_file_that_is_nowhere_is_told_with_the_places() {
    // Only where nobody has installed one.
    assert!(!Path::new("/etc/dormouse/dormouse.toml").exists());
    snapshot!(Folder::new().dormouse(&["run"]));
}

#[test]
fn a_folder_is_told() {
    snapshot!(Folder::new().dormouse(&["check", "--config", "."]));
}

#[test]
fn a_file_without_end_is_told() {
    snapshot!(Folder::new().dormouse(&["check", "--config", "/dev/zero"]));
}

#[test]
fn a_file_that_is_not_utf_8_is_told() {
    let folder = Folder::new();
    folder.write("dormouse.toml", b"# all is well\nstate_dir = \"caf\xe9\"\n");
    snapshot!(folder.dormouse(&["check"]));
}

#[test]
fn text_that_is_no_toml_is_told() {
    snapshot!(check("[services.web]\nlisten = 0.0.0.0:8080\ntarget: \"10.0.0.1:80\"\n"));
}

#[test]
fn a_table_that_is_not_closed_is_told() {
    snapshot!(check("[services.web\nlisten = \"0.0.0.0:8080\"\n"));
}

#[test]
fn a_key_that_stands_twice_is_told() {
    snapshot!(check(&service_with("target = \"10.0.0.1:80\"")));
}

#[test]
fn a_file_that_can_not_be_read_is_told() {
    snapshot!(Folder::new().dormouse(&["check", "--config", "/proc/self/mem"]));
}

/// Whatever is wrong with a file, it is told, and nothing panics.
#[test]
fn any_damage_to_a_config_is_told() {
    let whole = "# Gr\u{fc}\u{df}e \u{1f42d}\r\n\
        drain = \"1s\"\n\
        [services.web]\n\
        listen = [\"0.0.0.0:8080\", '[::]:8080']\n\
        target = \"d\u{e4}r:80\"\r\n\
        hooks.start = \"./a\"\n\
        [services.web.hooks]\n\
        stop = [\"\"\"b\n\"\"\", \"c\"]\n\
        [[plugins]]\n\
        x = { y = 1979-05-27, z = [1, 2.5, nan] }\n";
    let folder = Folder::new();
    let path = folder.path().join("dormouse.toml");
    let told = |bytes: &[u8]| {
        folder.write("dormouse.toml", bytes);
        let faults = config::read(&path).expect_err("damage");
        assert!(!faults.render(true).is_empty());
        assert_eq!(faults.lines().count(), faults.iter().count());
    };
    for at in 0..whole.len() {
        told(&whole.as_bytes()[..at]);
        for damage in [&b""[..], b"\"", b"[", b"}", b"=", b"\n", b"\xff", b"\xc2\x9b", b"\0"] {
            let (before, after) = whole.as_bytes().split_at(at);
            told(&[before, damage, &after[1..]].concat());
        }
    }
}

#[test]
fn an_empty_file_is_told() {
    snapshot!(check(""));
}

#[test]
fn a_table_without_services_is_told() {
    snapshot!(check("[services]\n"));
}

#[test]
fn a_file_is_told_of_by_the_name_that_was_given() {
    let folder = Folder::new();
    folder.write("other.toml", "drian = \"1s\"\n");
    let said = folder.dormouse(&["check", "--config", "./other.toml"]);
    assert!(said.contains("--> ./other.toml:1:1"), "{said}");
}

// Keys and types.

#[test]
fn an_unknown_key_is_told_with_those_that_there_are() {
    snapshot!(check(&service_with("colour = \"blue\"")));
}

#[test]
fn a_misspelt_key_is_told_with_what_was_meant() {
    snapshot!(check(&service_with("cool_down = \"15m\"")));
}

#[test]
fn a_missing_key_is_told() {
    snapshot!(check("[services.web]\nhooks = { start = \"true\", stop = \"true\" }\n"));
}

#[test]
fn a_value_of_another_type_is_told() {
    snapshot!(check(&service_with("max_held = \"many\"\nstop_on_exit = \"yes\"\ncooldown = 30")));
}

#[test]
fn a_list_of_services_is_told() {
    snapshot!(check("[[services]]\nname = \"web\"\n"));
}

// Values.

#[test]
fn a_bad_duration_is_told() {
    snapshot!(check(&service_with(
        "cooldown = \"5 bananas\"\nstart_timeout = \"30\"\nstop_timeout = \"5M\"\nhold_timeout = \"-1s\""
    )));
}

#[test]
fn a_duration_out_of_range_is_told() {
    snapshot!(check(&service_with(
        "cooldown = \"400d\"\nconnect_timeout = \"0s\"\nkeepalive = \"500ms\""
    )));
}

#[test]
fn invalid_probe_while_asleep_is_rejected() {
    snapshot!(
        ["\"999ms\"", "\"never\"", "true"]
            .map(|value| check(&service_with(&format!("probe_while_asleep = {value}"))))
            .join("\n")
    );
}

#[test]
fn a_sleeping_target_may_be_left_alone() {
    for (value, expected) in [("off", None), ("1s", Some(Duration::from_secs(1)))] {
        let (_folder, config) = meant(&service_with(&format!("probe_while_asleep = \"{value}\"")));
        assert_eq!(config.services[0].probe_while_asleep, expected);
    }
}

#[test]
fn a_number_out_of_range_is_told() {
    snapshot!(check(&service_with("max_held = 0\nmax_gates = 99999999999999999999")));
}

#[test]
fn a_word_that_there_is_not_is_told() {
    snapshot!(check(&service_with("on_gate_error = \"refuze\"")));
}

#[test]
fn another_word_that_there_is_not_is_told() {
    snapshot!(check(&service_with("on_idleness_error = \"stop\"")));
}

#[test]
fn either_half_of_a_wake_budget_may_be_left_out() {
    for (line, expected) in [
        ("wakes.per_hour = 1", Wakes { per_hour: Some(1), per_client_per_hour: None }),
        (
            "wakes = { per_client_per_hour = 4096 }",
            Wakes { per_hour: None, per_client_per_hour: Some(4096) },
        ),
        ("wakes = {}", Wakes::default()),
    ] {
        assert_eq!(meant(&service_with(line)).1.services[0].wakes, expected, "{line}");
    }
}

#[test]
fn what_is_wrong_with_a_wake_budget_is_told() {
    snapshot!(check(&service_with("wakes = { per_hour = 0, per_client_per_hours = 4 }")));
}

#[test]
fn a_wake_budget_that_is_a_number_is_told() {
    snapshot!(check(&service_with("wakes = 12")));
}

#[test]
fn a_sum_that_is_none_is_told() {
    let plugin = "[plugins.thing]\nwasm = \"thing.wasm\"\nsha256 = \"e3b0c44298fc1c14\"\n";
    let service = "[services.web]\nlisten = \"0.0.0.0:80\"\ntarget = \"10.0.0.7:80\"\n";
    snapshot!(check(&format!("{service}lifecycle = \"thing\"\n{plugin}")));
}

#[test]
fn a_plugin_may_be_pinned() {
    let sum = "00".repeat(31) + "fF";
    let plugin = format!("[plugins.thing]\nwasm = \"thing.wasm\"\nsha256 = \"{sum}\"\n");
    let service = "[services.web]\nlisten = \"0.0.0.0:80\"\ntarget = \"10.0.0.7:80\"\n";
    let (_folder, config) = meant(&format!("{service}lifecycle = \"thing\"\n{plugin}"));
    let mut expected = [0; 32];
    expected[31] = 255;
    assert_eq!(config.plugins[0].sha256, Some(expected));
}

/// What `check` says to a service that listens there.
fn listening(address: &str) -> String {
    check(&service_with("").replace("\"0.0.0.0:8080\"", address))
}

#[test]
fn a_listener_that_is_a_name_is_told() {
    snapshot!(listening("\"localhost:8080\""));
}

#[test]
fn a_listener_without_a_port_is_told() {
    snapshot!(listening("\"0.0.0.0\""));
}

#[test]
fn a_listener_without_an_address_is_told() {
    snapshot!(listening("\":8080\""));
}

#[test]
fn port_0_is_told() {
    snapshot!(listening("\"0.0.0.0:0\""));
}

#[test]
fn port_70000_is_told() {
    snapshot!(listening("\"0.0.0.0:70000\""));
}

#[test]
fn ipv6_without_brackets_is_told() {
    snapshot!(listening("[\"::1:8080\"]"));
}

#[test]
fn invalid_listener_tables_are_rejected() {
    snapshot!(listening(
        r#"[
  { adress = "0.0.0.0:8080", target = "10.0.0.7:80" },
  { at = "localhost:8080", target = "10.0.0.7" },
  { at = 8080, target = "http://10.0.0.7:80/" },
  { at = "0.0.0.0:8081", port = 1 },
  { at = "0.0.0.0:8081" },
  8082,
]"#
    ));
}

#[test]
fn listeners_may_have_targets_of_their_own() {
    let written = |listen: &str| {
        let (_folder, config) = meant(&service_with("").replace("\"0.0.0.0:8080\"", listen));
        let service = &config.services[0];
        let own = |listener: &Listener| listener.target.as_ref().map(ToString::to_string);
        let listen: Vec<_> = service
            .listen
            .iter()
            .map(|listener| (listener.at.to_string(), own(listener)))
            .collect();
        listen
    };
    let at = |address: &str| (address.to_owned(), None);
    let with = |address: &str, target: &str| (address.to_owned(), Some(target.to_owned()));
    assert_eq!(
        written(r#"["0.0.0.0:25565", { at = "[::]:25575", target = "10.0.0.7:25575" }]"#),
        [at("0.0.0.0:25565"), with("[::]:25575", "10.0.0.7:25575")]
    );
    assert_eq!(written(r#"{ at = "0.0.0.0:80" }"#), [at("0.0.0.0:80")]);
    assert_eq!(
        written(r#"{ at = "0.0.0.0:80", target = "db:81" }"#),
        [with("0.0.0.0:80", "db:81")]
    );
}

#[test]
fn check_prints_the_targets_of_listeners() {
    let said = listening(r#"["0.0.0.0:80", { at = "0.0.0.0:81", target = "10.0.0.7:25575" }]"#);
    let expected = "  listen    0.0.0.0:80\n            0.0.0.0:81 (target 10.0.0.7:25575)\n";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn no_listener_is_told() {
    snapshot!(listening("[]"));
}

/// What `check` says to a service with this target.
fn with_target(target: &str) -> String {
    check(&service_with("").replace("192.168.1.5:80", target))
}

#[test]
fn a_target_without_a_port_is_told() {
    snapshot!(with_target("192.168.1.5"));
}

#[test]
fn a_target_that_is_a_url_is_told() {
    snapshot!(with_target("http://192.168.1.5:80/"));
}

#[test]
fn a_target_that_can_not_be_is_told() {
    snapshot!(with_target("192.168.1.500:80"));
}

#[test]
fn a_target_that_is_the_service_itself_is_told() {
    snapshot!(with_target("127.0.0.1:8080"));
}

#[test]
fn rule_19_every_spelling_of_a_listener_is_refused_as_a_target() {
    for (listen, target) in [
        ("0.0.0.0:8080", "127.0.0.1:8080"),
        ("0.0.0.0:8080", "127.3.2.1:8080"),
        ("0.0.0.0:8080", "0.0.0.0:8080"),
        ("127.0.0.1:8080", "0.0.0.0:8080"),
        ("0.0.0.0:8080", "[::ffff:127.0.0.1]:8080"),
        ("127.0.0.1:8080", "[::ffff:7f00:1]:8080"),
        ("[::]:8080", "[::1]:8080"),
        ("[::1]:8080", "[::]:8080"),
        ("0.0.0.0:8080", "localhost:8080"),
        ("127.0.0.1:8080", "LOCALHOST.:8080"),
        ("192.168.1.5:8080", "192.168.1.5:8080"),
    ] {
        let config = service_with("").replace("192.168.1.5:80", target);
        let config = config.replace("listen = \"0.0.0.0:8080", &format!("listen = \"{listen}"));
        let folder = Folder::with_config(&config);
        let faults = config::read(&folder.path().join("dormouse.toml"));
        let faults = faults.expect_err("a loop").to_string();
        assert!(faults.contains("is the service itself"), "{listen} {target}: {faults}");
    }
}

#[test]
fn rule_19_run_refuses_the_name_of_this_machine() {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    let target = format!("{}:8080", name.trim());
    if Target::parse(&target).is_none() {
        return;
    }
    let config = service_with("").replace("192.168.1.5:80", &target);
    let said = Folder::with_config(&config).dormouse(&["run"]);
    assert!(said.contains("is the service itself"), "{said}");
}

#[test]
fn rule_19_a_listener_is_not_its_own_target() {
    snapshot!(listening(
        "[\"0.0.0.0:8080\", { at = \"0.0.0.0:25575\", target = \"127.0.0.1:25575\" }]"
    ));
}

/// Services, each with its name, where it listens, and its target.
fn services(services: &[(&str, &str, &str)]) -> String {
    let one = |(name, listen, target): &(&str, &str, &str)| {
        service_with("")
            .replace(".web", &format!(".{name}"))
            .replace("0.0.0.0:8080", listen)
            .replace("192.168.1.5:80", target)
    };
    services.iter().map(one).collect()
}

#[test]
fn rule_19_two_services_that_are_each_others_targets_are_refused() {
    snapshot!(check(&services(&[
        ("a", "0.0.0.0:8080", "127.0.0.1:8081"),
        ("b", "0.0.0.0:8081", "localhost:8080"),
    ])));
}

#[test]
fn rule_19_a_circle_of_services_is_reported_once() {
    snapshot!(check(&services(&[
        ("front", "0.0.0.0:8079", "127.0.0.1:8080"),
        ("a", "0.0.0.0:8080", "127.0.0.1:8081"),
        ("b", "0.0.0.0:8081", "127.0.0.1:8082"),
        ("c", "127.0.0.1:8082", "127.0.0.1:8080"),
    ])));
}

#[test]
fn a_service_may_be_the_target_of_another() {
    meant(&services(&[
        ("a", "0.0.0.0:8080", "127.0.0.1:8081"),
        ("b", "127.0.0.1:8081", "192.168.1.5:80"),
        // Another address with the same port.
        ("c", "127.0.0.1:8082", "127.0.0.2:8082"),
    ]));
}

#[test]
fn two_services_that_stop_one_server_are_a_warning() {
    snapshot!(check(&services(&[
        ("game", "0.0.0.0:25565", "10.0.0.7:25565"),
        ("other", "0.0.0.0:80", "10.0.0.8:80"),
        ("rcon", "0.0.0.0:25575", "10.0.0.7:25575"),
    ])));
}

#[test]
fn two_services_with_one_plugin_for_one_host_are_a_warning() {
    let config = services(&[
        ("game", "0.0.0.0:25565", "10.0.0.7:25565"),
        ("rcon", "0.0.0.0:25575", "10.0.0.7:25575"),
    ]);
    let config = config
        .replace("hooks = { start = \"true\", stop = \"true\" }", "lifecycle = \"vm\"")
        + "[plugins.vm]\nwasm = \"vm.wasm\"\n";
    let said = check(&config);
    assert!(said.contains("services `game` and `rcon` stop the same server"), "{said}");
}

#[test]
fn hooks_that_know_their_service_stop_different_servers() {
    let config = services(&[
        ("game", "0.0.0.0:25565", "10.0.0.7:25565"),
        ("rcon", "0.0.0.0:25575", "10.0.0.7:25575"),
    ]);
    for (script, warns) in [("systemctl stop \"$DORMOUSE_SERVICE\"", 0), ("docker stop mc", 1)] {
        let folder =
            Folder::with_config(&config.replace("stop = \"true\"", "stop = \"./stop.sh\""));
        folder.program("stop.sh", format!("#!/bin/sh\n{script}\n"));
        let said = folder.dormouse(&["check"]);
        assert_eq!(said.matches("stop the same server").count(), warns, "{said}");
    }
}

#[test]
fn two_services_on_one_address_are_told_with_both_places() {
    let config = service_with("") + &service_with("").replace(".web", ".shop");
    snapshot!(check(&config));
}

#[test]
fn one_service_twice_on_one_address_is_told() {
    snapshot!(listening("[\"127.0.0.1:8080\", \"127.0.0.1:8080\"]"));
}

#[test]
fn names_that_make_no_file_are_told() {
    snapshot!(check(&service_with("").replace(".web", ".\"../web\"")));
}

// Who decides.

#[test]
fn a_service_without_hooks_or_lifecycle_is_told() {
    snapshot!(check("[services.web]\nlisten = \"0.0.0.0:8080\"\ntarget = \"192.168.1.5:80\"\n"));
}

#[test]
fn hooks_without_stop_are_told() {
    snapshot!(check(&service_with("").replace(", stop = \"true\"", "")));
}

#[test]
fn hooks_of_another_type_are_told() {
    snapshot!(check(
        &service_with("").replace("{ start = \"true\", stop = \"true\" }", "\"./start.sh\"")
    ));
}

#[test]
fn a_hook_that_can_not_be_a_program_is_told() {
    snapshot!(check(
        &service_with("")
            .replace("start = \"true\", stop = \"true\"", "start = \"~/a\", stop = []")
    ));
}

#[test]
fn hooks_beside_a_lifecycle_are_told() {
    let config = service_with("lifecycle = \"vm\"") + "[plugins.vm]\nwasm = \"vm.wasm\"\n";
    snapshot!(check(&config));
}

#[test]
fn a_hook_beside_a_plugin_for_one_decision_is_told() {
    let config = service_with("gate = \"vm\"\nreadiness = \"vm\"\nidleness = \"vm\"").replace(
        "stop = \"true\"",
        "stop = \"true\", should_wake = \"true\", ready = \"true\", should_sleep = \"true\"",
    ) + "[plugins.vm]\nwasm = \"vm.wasm\"\n";
    snapshot!(check(&config));
}

#[test]
fn an_unknown_plugin_is_told_with_what_was_meant() {
    let config = service_with("gate = \"mincraft\"") + "[plugins.minecraft]\nwasm = \"mc.wasm\"\n";
    snapshot!(check(&config));
}

#[test]
fn an_unknown_plugin_is_told_with_those_that_there_are() {
    let config =
        service_with("gate = \"door\"\nreadiness = \"vm\"") + "[plugins.vm]\nwasm = \"vm.wasm\"\n";
    snapshot!(check(&config));
}

#[test]
fn the_built_in_plugin_without_a_declaration_is_told() {
    snapshot!(check(&service_with("gate = \"shell\"")));
}

#[test]
fn an_unknown_built_in_plugin_is_told() {
    let config = service_with("gate = \"vm\"") + "[plugins.vm]\nwasm = \"builtin:docker\"\n";
    snapshot!(check(&config));
}

#[test]
fn a_shell_plugin_without_the_hook_for_a_decision_is_told() {
    let config = service_with("gate = \"sh\"")
        + "[plugins.sh]\nwasm = \"builtin:shell\"\nsettings = { start = \"true\" }\n";
    snapshot!(check(&config));
}

#[test]
fn a_shell_plugin_that_may_not_run_its_hooks_is_a_warning() {
    let config = service_with("gate = \"sh\"")
        + "[plugins.sh]\n\
           wasm = \"builtin:shell\"\n\
           settings = { start = [\"true\", \"1\"], stop = \"true\", should_wake = \"true\" }\n\
           allow = { exec = [[\"true\", \"1\"], [\"true\", \"2\"], \"false\"] }\n";
    snapshot!(check(&config));
}

#[test]
fn an_empty_text_is_told() {
    snapshot!(check(
        "[services.web]\nlisten = \"\"\ntarget = \"\"\ncooldown = \"\"\nhooks = { start = \"\", stop = \"true\" }\n"
    ));
}

#[test]
fn an_unused_plugin_is_a_warning() {
    snapshot!(check(&(service_with("") + "[plugins.vm]\nwasm = \"vm.wasm\"\n")));
}

#[test]
fn a_wrong_plugin_is_told() {
    let config = service_with("gate = \"vm\"")
        + "[plugins.vm]\n\
           settings = { size = nan }\n\
           allow = { http = \"https://example.com\", env = [\"$HOME\"], exec = \"docker\" }\n\
           limits = { memory = \"lots\", cpu = 1, output = \"1GiB\", log_lines = 0 }\n";
    snapshot!(check(&config));
}

#[test]
fn grants_that_are_none_are_told() {
    let config = service_with("gate = \"vm\"")
        + "[plugins.vm]\n\
           wasm = \"vm.wasm\"\n\
           [plugins.vm.allow]\n\
           connect = [\"example.com:22\", \"10.0.0.7/8:22\", \"10.0.0.7\", \"target\"]\n\
           udp = \"10.0.0.7:9\"\n\
           wake_on_lan = [\"target\", \"ff02::1\"]\n\
           read = [\"\", \"~/certs\"]\n\
           write = [1]\n\
           [plugins.vm.limits]\n\
           handles = 0\n\
           children = 2000\n";
    snapshot!(check(&config));
}

#[test]
fn what_a_plugin_may_reach_can_be_written() {
    let (folder, config) = meant(
        &(service_with("gate = \"vm\"")
            + r#"
[plugins.vm]
wasm = "vm.wasm"
limits = { handles = 10, children = 2 }
[plugins.vm.allow]
connect = ["target", "10.0.0.0/8:25575"]
udp = ["[fd00::]/8:*"]
wake_on_lan = ["192.168.1.255"]
read = ["./certs/", "/etc/ssl", ".", "../beside", "data"]
write = ["./data"]
"#),
    );
    let Decider::Plugin(gate) = config.services[0].gate else { panic!("the gate is a plugin") };
    let plugin = config.plugin(gate);
    let written = |reach: &[Reach]| reach.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(written(&plugin.allow.connect), ["target", "10.0.0.0/8:25575"]);
    assert_eq!(written(&plugin.allow.udp), ["[fd00::]/8:*"]);
    assert_eq!(plugin.allow.wake_on_lan[0].to_string(), "192.168.1.255:9");
    let grant = |path: &str, name: &str| FolderGrant {
        path: folder.path().join(path).components().collect(),
        name: name.to_owned(),
    };
    let read = [
        grant("certs", "certs"),
        grant("/etc/ssl", "/etc/ssl"),
        grant("", "."),
        grant("../beside", "../beside"),
    ];
    assert_eq!(plugin.allow.read, read, "what may be written may be read");
    assert_eq!(plugin.allow.write, [grant("data", "data")]);
    assert_eq!((plugin.limits.handles, plugin.limits.children), (10, 2));
}

#[test]
fn requests_that_can_not_be_granted_are_told() {
    let config = service_with("gate = \"vm\"")
        + r#"
[plugins.vm]
wasm = "vm.wasm"
ca = ""

[plugins.vm.allow]
http = [
  "api.example.com",
  "get https://api.example.com",
  "https://api.example.com:443000",
  "https://user@api.example.com",
  "https://api.example.com/?x=1",
  "https://api.example.com/a/%2e%2e/b",
  "https://api.example.com in 10.0.0.0/99",
  "unix:/run/docker.sock",
  "unix:/run/user/1000/docker.sock",
  "unix:/run/a b",
]
"#;
    snapshot!(check(&config));
}

#[test]
fn several_faults_are_told_at_once_in_their_order() {
    let config = "drain = 10\n".to_owned()
        + &service_with("cooldwon = \"15m\"\nlifecycle = \"vm\"").replace(":8080", ":80800")
        + "[plugin.vm]\nwasm = \"vm.wasm\"\n";
    snapshot!(check(&config));
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let said = check(&service_with("\"a\\u001b[2Jb\" = 1 # \u{9b}2J \u{202e}"));
    let forbidden = |letter: char| {
        letter != '\n' && (letter.is_control() || ('\u{202a}'..='\u{202e}').contains(&letter))
    };
    assert!(said.contains("unknown key"), "{said}");
    assert!(!said.contains(forbidden), "{said:?}");
}

// What a good one means.

#[test]
fn what_is_not_written_has_its_default() {
    let (folder, config) = meant(&service_with(""));
    let service = &config.services[0];
    assert_eq!(config.drain, Duration::from_secs(5));
    assert_eq!(config.compile, CompileLimits::default());
    assert_eq!(service.name, "web");
    assert_eq!(service.cooldown, Duration::from_secs(30 * 60));
    assert_eq!(service.start_timeout, Duration::from_secs(5 * 60));
    assert_eq!(service.stop_timeout, Duration::from_secs(2 * 60));
    assert_eq!(service.hold_timeout, Duration::from_secs(5 * 60));
    assert_eq!(service.connect_timeout, Duration::from_secs(5));
    assert_eq!(service.max_held, 4096);
    assert_eq!(service.gate_timeout, Duration::from_secs(10));
    assert_eq!(service.max_gates, 256);
    assert_eq!(service.on_gate_error, OnGateError::Wake);
    assert_eq!(service.on_idleness_error, OnIdlenessError::Sleep);
    assert_eq!(service.wakes, Wakes { per_hour: None, per_client_per_hour: None });
    assert_eq!(service.keepalive, Some(Duration::from_secs(60)));
    assert!(!service.stop_on_exit);
    assert_eq!(service.probe_while_asleep, Some(Duration::from_secs(5 * 60)));
    drop(folder);
}

#[test]
fn everything_can_be_written() {
    let (folder, config) = meant(
        r#"
drain = "1m"
state_dir = "state"
cache_dir = "/var/tmp/cache"
compile = { cpu = "10m", memory = "8GiB" }

[services.web]
listen = ["0.0.0.0:8080", "[::]:8080"]
target = "[fe80::5]:80"
hooks = { start = "true", stop = "true" }
cooldown = "0s"
start_timeout = "10m"
stop_timeout = "1s"
connect_timeout = "250ms"
max_held = 0x10
gate_timeout = "1s"
max_gates = 1_000
on_gate_error = "refuse"
on_idleness_error = "stay"
wakes = { per_hour = 12, per_client_per_hour = 4 }
keepalive = "off"
stop_on_exit = true
"#,
    );
    let service = &config.services[0];
    assert_eq!(config.drain, Duration::from_secs(60));
    assert_eq!(config.state_dir, folder.path().join("state"));
    assert_eq!(config.cache_dir, Path::new("/var/tmp/cache"));
    let compile = CompileLimits { cpu: Duration::from_secs(600), memory: 8 << 30 };
    assert_eq!(config.compile, compile);
    let listen: Vec<_> = service.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["0.0.0.0:8080", "[::]:8080"]);
    assert_eq!(service.target.host, "fe80::5");
    assert_eq!(service.target.to_string(), "[fe80::5]:80");
    assert_eq!(service.cooldown, Duration::ZERO);
    assert_eq!(service.start_timeout, Duration::from_secs(600));
    assert_eq!(service.stop_timeout, Duration::from_secs(1));
    assert_eq!(service.hold_timeout, service.start_timeout);
    assert_eq!(service.connect_timeout, Duration::from_millis(250));
    assert_eq!(service.max_held, 16);
    assert_eq!(service.gate_timeout, Duration::from_secs(1));
    assert_eq!(service.max_gates, 1000);
    assert_eq!(service.on_gate_error, OnGateError::Refuse);
    assert_eq!(service.on_idleness_error, OnIdlenessError::Stay);
    assert_eq!(service.wakes, Wakes { per_hour: Some(12), per_client_per_hour: Some(4) });
    assert_eq!(service.keepalive, None);
    assert!(service.stop_on_exit);
}

#[test]
fn requests_are_granted_and_their_files_belong_to_the_folder_of_the_config() {
    let (folder, config) = meant(
        r#"
[services.web]
listen = "0.0.0.0:8080"
target = "192.168.1.5:80"
lifecycle = "vm"

[plugins.vm]
wasm = "vm.wasm"
ca = "./ca.pem"
limits = { requests = 2 }

[plugins.vm.allow]
http = ["POST,GET https://API.example.com:443/vm/", "unix:./podman.sock:/v4.0.0/containers/mc"]
"#,
    );
    let plugin = &config.plugins[0];
    let http: Vec<_> = plugin.allow.http.iter().map(ToString::to_string).collect();
    let socket = folder.path().join("podman.sock");
    let socket = format!("unix:{}:/v4.0.0/containers/mc", socket.display());
    assert_eq!(http, ["POST,GET https://api.example.com/vm/", &socket]);
    assert_eq!(plugin.ca, Some(folder.path().join("ca.pem")));
    assert_eq!(plugin.limits.requests, 2);
}

#[test]
fn hooks_become_a_plugin_with_a_grant_for_exactly_them() {
    let (folder, config) = meant(
        r#"
[services.web]
listen = "0.0.0.0:8080"
target = "192.168.1.5:80"

[services.web.hooks]
start = "./start.sh"
stop = ["docker", "stop", "web"]
ready = ["./start.sh"]
"#,
    );
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let service = &config.services[0];
    let plugin = config.plugin(service.lifecycle);
    assert_eq!(service.readiness, Decider::Plugin(service.lifecycle));
    assert_eq!(service.gate, Decider::Nobody);
    assert_eq!(service.idleness, Decider::Nobody);
    assert_eq!(plugin.name, "shell");
    assert_eq!(plugin.hooks_of.as_deref(), Some("web"));
    assert_eq!(plugin.source, PluginSource::Builtin("shell"));
    assert_eq!(
        plugin.settings,
        serde_json::json!({
            "start": [path("start.sh")],
            "stop": ["docker", "stop", "web"],
            "ready": [path("start.sh")],
        })
    );
    let grant = |program: String, arguments: &[&str]| ExecGrant {
        program,
        arguments: Some(arguments.iter().map(|argument| (*argument).to_owned()).collect()),
    };
    assert_eq!(
        plugin.allow.exec,
        [grant(path("start.sh"), &[]), grant("docker".into(), &["stop", "web"])]
    );
    assert!(plugin.allow.env.is_empty());
}

#[test]
fn each_service_has_a_plugin_for_its_own_hooks() {
    let (_folder, config) = meant(
        &(service_with("") + &service_with("").replace(".web", ".shop").replace("8080", "8081")),
    );
    let owners: Vec<_> = config.plugins.iter().map(|plugin| plugin.hooks_of.as_deref()).collect();
    assert_eq!(owners, [Some("web"), Some("shop")]);
    assert_eq!(config.services[0].lifecycle, PluginId(0));
    assert_eq!(config.services[1].lifecycle, PluginId(1));
}

#[test]
fn services_keep_the_order_in_which_they_were_written() {
    let names = ["zoo", "mall", "attic"];
    let config: String = names
        .iter()
        .enumerate()
        .map(|(index, name)| {
            service_with("")
                .replace(".web", &format!(".{name}"))
                .replace("8080", &format!("808{index}"))
        })
        .collect();
    let (_folder, config) = meant(&config);
    let read: Vec<_> = config.services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(read, names);
}

#[test]
fn a_lifecycle_plugin_judges_readiness_and_idleness_if_it_exports_them() {
    let (folder, config) = meant(
        r#"
[services.mc]
listen = "0.0.0.0:25565"
target = "10.0.0.7:25565"
lifecycle = "docker"
gate = "minecraft"

[plugins.docker]
wasm = "plugins/docker.wasm"
settings = { container = "mc", tries = 3, when = 2026-01-02, deep = { list = [1.5, true] } }
limits = { memory = "128MiB", cpu = "2s", call = "20s", output = "32KiB", log_lines = 10, state = "2MiB" }

[plugins.docker.allow]
exec = ["/usr/bin/docker", ["./notify.sh", "mc"]]
env = ["DOCKER_HOST"]

[plugins.minecraft]
wasm = "builtin:shell"
settings = { should_wake = "./gate.sh" }
allow = { exec = ["./gate.sh"] }
"#,
    );
    let service = &config.services[0];
    let plugin = config.plugin(service.lifecycle);
    assert_eq!(service.readiness, Decider::IfExported(service.lifecycle));
    assert_eq!(service.idleness, Decider::IfExported(service.lifecycle));
    let Decider::Plugin(gate) = service.gate else { panic!("no gate") };
    let gate_hook = folder.path().join("gate.sh");
    assert_eq!(config.plugin(gate).settings, serde_json::json!({ "should_wake": [gate_hook] }));
    assert_eq!(plugin.name, "docker");
    assert_eq!(plugin.hooks_of, None);
    assert_eq!(plugin.source, PluginSource::File(folder.path().join("plugins/docker.wasm")));
    assert_eq!(
        plugin.settings,
        serde_json::json!({
            "container": "mc", "tries": 3, "when": "2026-01-02", "deep": { "list": [1.5, true] },
        })
    );
    let notify = folder.path().join("notify.sh").to_str().expect("UTF-8").to_owned();
    assert_eq!(
        plugin.allow.exec,
        [
            ExecGrant { program: "/usr/bin/docker".into(), arguments: None },
            ExecGrant { program: notify, arguments: Some(vec!["mc".into()]) },
        ]
    );
    assert_eq!(plugin.allow.env, ["DOCKER_HOST"]);
    assert_eq!(plugin.limits.memory, 128 << 20);
    assert_eq!(plugin.limits.cpu, Duration::from_secs(2));
    assert_eq!(plugin.limits.call, Duration::from_secs(20));
    assert_eq!(plugin.limits.output, 32 << 10);
    assert_eq!(plugin.limits.log_lines, 10);
    assert_eq!(plugin.limits.state, 2 << 20);
}

#[test]
fn a_shell_plugin_decides_what_it_has_hooks_for() {
    let (_folder, config) = meant(
        r#"
[services.web]
listen = "0.0.0.0:8080"
target = "192.168.1.5:80"
lifecycle = "sh"

[plugins.sh]
wasm = "builtin:shell"
settings = { start = "true", stop = "true", ready = "true", should_wake = "true" }
allow = { exec = ["true"] }
"#,
    );
    let service = &config.services[0];
    assert_eq!(service.readiness, Decider::Plugin(service.lifecycle));
    assert_eq!(service.idleness, Decider::Nobody);
    // A gate is asked only where one is named.
    assert_eq!(service.gate, Decider::Nobody);
}

#[test]
fn hooks_go_with_plugins_for_what_they_do_not_decide() {
    let (_folder, config) = meant(
        &(service_with("gate = \"door\"\nreadiness = \"door\"")
            + "[plugins.door]\nwasm = \"a.wasm\"\n"),
    );
    let service = &config.services[0];
    assert_eq!(config.plugin(service.lifecycle).name, "shell");
    assert_eq!(service.gate, service.readiness);
    let Decider::Plugin(id) = service.gate else { panic!("no gate") };
    assert_eq!(config.plugin(id).name, "door");
}

#[test]
fn one_plugin_may_serve_many() {
    let one = service_with("gate = \"door\"");
    let other = one.replace(".web", ".shop").replace("8080", "8081");
    let (_folder, config) = meant(&(one + &other + "[plugins.door]\nwasm = \"a.wasm\"\n"));
    assert_eq!(config.services[0].gate, config.services[1].gate);
    assert_eq!(config.plugins.len(), 3);
}

#[test]
fn a_warning_leaves_the_config_usable_without_the_plugin() {
    let text = service_with("") + "[plugins.vm]\nwasm = \"vm.wasm\"\n";
    let folder = Folder::with_config(&text);
    let (config, warnings) =
        config::read(&folder.path().join("dormouse.toml")).expect("a usable config");
    let severities: Vec<_> = warnings.iter().map(config::Fault::severity).collect();
    assert_eq!(severities, [Severity::Warning]);
    let lines: Vec<_> = warnings.lines().collect();
    assert!(lines[0].ends_with("dormouse.toml:6:10: no service uses the plugin `vm`"), "{lines:?}");
    assert_eq!(config.plugins.len(), 1);
}
